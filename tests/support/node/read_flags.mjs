// The official OFREP server provider reads the flags named in the arguments ("type:key") and prints its details as JSON.
import { OpenFeature } from '@openfeature/server-sdk';
import { OFREPProvider } from '@openfeature/ofrep-provider';

const [baseUrl, key, ...wanted] = process.argv.slice(2);
await OpenFeature.setProviderAndWait(
  new OFREPProvider({ baseUrl, headers: [['Authorization', `Bearer ${key}`]] }),
);
const client = OpenFeature.getClient();
const read = {
  boolean: (flag) => client.getBooleanDetails(flag, false, { targetingKey: 'node' }),
  string: (flag) => client.getStringDetails(flag, 'fallback', { targetingKey: 'node' }),
  number: (flag) => client.getNumberDetails(flag, -1, { targetingKey: 'node' }),
  object: (flag) => client.getObjectDetails(flag, {}, { targetingKey: 'node' }),
};
const details = {};
for (const one of wanted) {
  const [type, flag] = one.split(/:(.*)/s);
  details[flag] = await read[type](flag);
}
console.log(JSON.stringify(details));
