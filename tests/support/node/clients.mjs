// Both official JavaScript clients in one process for many tests: a JSON command per line in, a JSON answer per line out.
// {"id", "do": "server" | "web", "name", "baseUrl", "key"}   make a client; a web client follows its event stream
// {"id", "do": "key", "name", "key"}                         what it sends from now on
// {"id", "do": "read", "name", "type", "flag", "context"}    the details of one evaluation
// {"id", "do": "seen", "name", "flag"}                       every value of a text flag that a web client came to hold
import { createInterface } from 'node:readline';
import { EventSource } from 'eventsource';
import { OpenFeature as Server } from '@openfeature/server-sdk';
import { OpenFeature as Web, ProviderEvents } from '@openfeature/web-sdk';
import { OFREPProvider } from '@openfeature/ofrep-provider';
import { OFREPWebProvider } from '@openfeature/ofrep-web-provider';

globalThis.EventSource = EventSource;
// Pauses of a second and more pass ten times as fast, so that tests can wait for them.
const { setTimeout } = globalThis;
globalThis.setTimeout = (act, ms, ...more) => setTimeout(act, ms >= 1000 ? ms / 10 : ms, ...more);
const fallback = { boolean: false, string: 'fallback', number: -1, object: {} };
const made = {};
const silent = { error() {}, warn() {}, info() {}, debug() {} };
Server.setLogger(silent);
Web.setLogger(silent);

const commands = {
  async server({ name, baseUrl, key }) {
    const one = (made[name] = { key, api: Server });
    const headersFactory = () => [['Authorization', `Bearer ${one.key}`]];
    await Server.setProviderAndWait(name, new OFREPProvider({ baseUrl, headersFactory }));
    one.client = Server.getClient(name);
  },
  async web({ name, baseUrl, key }) {
    const one = (made[name] = { key, api: Web, seen: [] });
    const headersFactory = () => [['Authorization', `Bearer ${one.key}`]];
    await Web.setContext(name, { targetingKey: name });
    const options = { baseUrl, headersFactory, pollInterval: 0, cacheMode: 'disabled', timeoutMs: 100_000 };
    one.failed = await Web.setProviderAndWait(name, new OFREPWebProvider(options, silent)).then(() => '', String);
    one.client = Web.getClient(name);
    one.client.addHandler(ProviderEvents.ConfigurationChanged, () => one.seen.push(one.client.getStringValue('text', '')));
    return { failed: one.failed };
  },
  key({ name, key }) {
    made[name].key = key;
  },
  read({ name, type, flag, context }) {
    const { client, api } = made[name];
    const method = `get${type[0].toUpperCase()}${type.slice(1)}Details`;
    return client[method](flag, fallback[type], ...(api === Server && context ? [context] : []));
  },
  seen({ name }) {
    return made[name].seen;
  },
};

createInterface({ input: process.stdin }).on('line', async (line) => {
  const { id, do: what, ...rest } = JSON.parse(line);
  const answer = await Promise.resolve()
    .then(() => commands[what](rest))
    .then((value) => ({ value: value ?? null }), (error) => ({ error: String(error) }));
  console.log(JSON.stringify({ id, ...answer }));
}).on('close', () => process.exit(0));
