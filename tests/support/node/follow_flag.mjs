// The official OFREP web provider follows one flag by its event stream: a JSON line for every value, until stdin closes.
import { EventSource } from 'eventsource';
import { OpenFeature, ProviderEvents } from '@openfeature/web-sdk';
import { OFREPWebProvider } from '@openfeature/ofrep-web-provider';

globalThis.EventSource = EventSource;
const [baseUrl, key, flag] = process.argv.slice(2);
const client = OpenFeature.getClient();
const tell = (why) => console.log(JSON.stringify({ why, ...client.getStringDetails(flag, 'fallback') }));

await OpenFeature.setContext({ targetingKey: 'browser' });
await OpenFeature.setProviderAndWait(
  new OFREPWebProvider({ baseUrl, headers: [['Authorization', `Bearer ${key}`]], pollInterval: 0 }),
);
client.addHandler(ProviderEvents.ConfigurationChanged, () => tell('changed'));
tell('first');
process.stdin.on('end', () => process.exit(0)).resume();
