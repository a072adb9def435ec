// Does by mailgun.js what Ghost's client of Mailgun does: send a newsletter, read its events, lift suppressions.
// Arguments: base URL, key, domain, and a request in JSON. Prints the result as JSON.
const FormData = require("form-data");
const Mailgun = require("mailgun.js");
const [baseUrl, key, domain, request] = process.argv.slice(2);

// Scheme, host and port of the base URL are kept; a path such as /v3 is not.
const connected = () =>
  new (Mailgun.default || Mailgun)(FormData).client({ username: "api", key, url: new URL(baseUrl).origin, timeout: 60000 });

// A field without a value is given as undefined, as Ghost does.
function newsletter({ message, recipients, testmode }) {
  const first = Object.values(recipients)[0];
  const data = {
    to: Object.keys(recipients),
    from: message.from,
    "h:Reply-To": message.replyTo,
    subject: message.subject,
    html: message.html,
    text: message.plaintext,
    "recipient-variables": JSON.stringify(recipients),
    "h:Sender": message.from,
    "h:Auto-Submitted": "auto-generated",
    "h:X-Auto-Response-Suppress": "OOF, AutoReply",
  };
  if (first && first.list_unsubscribe) {
    data["h:List-Unsubscribe"] = "<%recipient.list_unsubscribe%>, <%tag_unsubscribe_email%>";
    data["h:List-Unsubscribe-Post"] = "List-Unsubscribe=One-Click";
  }
  if (message.messageIds) data["h:Message-Id"] = "<%recipient.message_id%>";
  if (message.id) data["v:email-id"] = message.id;
  data["o:tag"] = ["ghost-email", ...(message.tags || [])];
  if (testmode) data["o:testmode"] = true;
  if (message.trackOpens) data["o:tracking-opens"] = true;
  if (message.deliveryTime) data["o:deliverytime"] = new Date(message.deliveryTime).toUTCString();
  return data;
}

// An event without an id of its message and of the e-mail is left out.
function normalized(event) {
  const providerId = event.message && event.message.headers["message-id"];
  const variables = event["user-variables"] || {};
  if (!providerId && !variables["email-id"]) return null;
  const status = event["delivery-status"];
  const text = status && (status.message || status.description);
  return {
    id: event.id,
    type: event.event,
    severity: event.severity,
    recipientEmail: event.recipient,
    emailId: variables["email-id"],
    providerId,
    timestamp: new Date(event.timestamp * 1000),
    error: typeof text === "string" ? { code: status.code, message: text, enhancedCode: `${status["enhanced-code"]}` } : null,
  };
}

// The next page is asked for with the token and the same query, until a page has no event from before the begin.
async function events({ query }) {
  const started = new Date();
  const page = async (more) => {
    const found = await connected().events.get(domain, { ...more, ...query });
    const items = found.items.map(normalized).filter((one) => one && one.timestamp <= started);
    return { items, next: found.pages.next.page };
  };
  const all = [];
  for (let got = await page({}); got.items.length !== 0; got = await page({ page: got.next })) all.push(...got.items);
  return all;
}

async function remove({ list, email }) {
  try {
    await connected().suppressions.destroy(domain, list, email);
    return true;
  } catch (error) {
    return false;
  }
}

async function send(given) {
  try {
    return { id: (await connected().messages.create(domain, newsletter(given))).id };
  } catch (error) {
    return { status: error.status, details: error.details };
  }
}

const lists = {
  list: ({ list, query }) => connected().suppressions.list(domain, list, query),
  get: ({ list, email }) => connected().suppressions.get(domain, list, email),
  create: ({ list, entry }) => connected().suppressions.create(domain, list, entry),
};

(async () => {
  const given = JSON.parse(request);
  console.log(JSON.stringify(await { send, events, remove, ...lists }[given.action](given)));
})();
