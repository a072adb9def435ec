// Sends a newsletter by mailgun.js with the options of Ghost's client, then reads its events and lifts a suppression.
// Arguments: URL, key, domain, recipients as JSON. Prints what the client got, as JSON.
const Mailgun = require("mailgun.js");
const FormData = require("form-data");
const [url, key, domain, given, begin] = process.argv.slice(2);
const client = new (Mailgun.default || Mailgun)(FormData).client({ username: "api", key, url, timeout: 60000 });

async function send(recipients) {
  return client.messages.create(domain, {
    to: Object.keys(recipients),
    from: "\"Ghost\" <news@acme.test>",
    "h:Reply-To": "editor@acme.test",
    subject: "Hello %recipient.name%",
    html: '<p>Dear %recipient.name%, <a href="https://blog.acme.test/%recipient.uuid%">read</a> or ' +
      '<a href="%recipient.unsubscribe_url%">unsubscribe</a>.</p>',
    text: "Dear %recipient.name%\n%recipient.unsubscribe_url%\n",
    "recipient-variables": JSON.stringify(recipients),
    "h:Sender": "news@acme.test",
    "h:Auto-Submitted": "auto-generated",
    "h:X-Auto-Response-Suppress": "OOF, AutoReply",
    "h:List-Unsubscribe": "<%recipient.list_unsubscribe%>, <%tag_unsubscribe_email%>",
    "h:List-Unsubscribe-Post": "List-Unsubscribe=One-Click",
    "v:email-id": "6753f1a2",
    "o:tag": ["ghost-email", "bulk-email", "blog"],
    "o:tracking-opens": true,
  });
}

async function events() {
  const query = { limit: 300, event: "delivered OR opened OR failed OR unsubscribed OR complained",
    tags: "bulk-email AND ghost-email", begin: Number(begin), ascending: "yes" };
  const found = [];
  let page = await client.events.get(domain, query);
  const pages = [page.pages];
  while (page.items.length > 0) {
    found.push(...page.items);
    page = await client.events.get(domain, { page: page.pages.next.page, ...query });
  }
  return { found, pages };
}

async function failure(work) {
  try { return await work(); } catch (error) { return { status: error.status, details: error.details }; }
}

(async () => {
  const action = given === "events" ? events : given.startsWith("remove ")
    ? () => client.suppressions.destroy(domain, "bounces", given.slice(7)) : () => send(JSON.parse(given));
  console.log(JSON.stringify(await failure(action)));
})();
