// Runs Ghost's own class MailgunClient, which is not in this repository, with its options.
// Arguments: its file, and a request in JSON. Prints the result as JSON.
// The modules of Ghost around it are replaced: they write logs and metrics, and mailgun.js does all that reaches the network.
const Module = require("module");
const [file, request] = process.argv.slice(2);

const logged = [];
const silent = () => {};
const replaced = {
  lodash: { pick: (from, ...names) => Object.fromEntries(names.filter((name) => name in from).map((name) => [name, from[name]])) },
  "@tryghost/debug": () => silent,
  "@tryghost/logging": { info: silent, warn: (text) => logged.push(`${text}`), error: (text) => logged.push(`${text}`) },
  "@tryghost/metrics": { metric: silent },
  "@tryghost/errors": { IncorrectUsageError: class extends Error { constructor({ message }) { super(message); } } },
};
const load = Module._load;
Module._load = (name, parent, isMain) => {
  if (name === "@tryghost/debug") return silent;
  if (name in replaced) return replaced[name];
  // The class is outside of any folder of packages.
  return load(name === "mailgun.js" || name === "form-data" ? require.resolve(name) : name, parent, isMain);
};

(async () => {
  const { bulkEmail, settings, hostSettings, action, ...given } = JSON.parse(request);
  const config = { get: (key) => ({ bulkEmail, "hostSettings:managedEmail:fallbackDomain": hostSettings })[key] };
  const Client = require(file);
  const client = new Client({ config, settings: { get: (key) => (settings || {})[key] } });
  const actions = {
    async send() {
      const message = { ...given.message };
      if (message.deliveryTime) message.deliveryTime = new Date(message.deliveryTime);
      const replacements = (given.replacements || []).map((one) => ({ ...one, regexp: new RegExp(one.regexp, "g") }));
      try {
        return await client.send(message, given.recipients, replacements);
      } catch ({ error }) {
        return { status: error.status, details: error.details, message: error.message };
      }
    },
    async events() {
      const batches = [];
      await client.fetchEvents(given.query, async (events) => batches.push(events), given.options);
      return batches;
    },
    remove: async () => [await client.removeBounce(given.email), await client.removeComplaint(given.email), await client.removeUnsubscribe(given.email)],
    configured: async () => [client.isConfigured(), client.getBatchSize(), client.getTargetDeliveryWindow()],
  };
  console.log(JSON.stringify({ result: await actions[action](), logged }));
})();
