// graphql-ws and aedes, each on a free loopback port; prints {"graphql": port, "mqtt": port}, ends with its stdin.
import { createServer } from "node:http";
import { Aedes } from "aedes";
import { buildSchema } from "graphql";
import { useServer } from "graphql-ws/use/ws";
import { WebSocketServer, createWebSocketStream } from "ws";

async function listening(server) {
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  return server.address().port;
}

const schema = buildSchema("type Query { hello: String }");
const graphqlHttp = createServer();
useServer(
  { schema, onConnect: ({ connectionParams, extra }) => extra.request.headers.authorization !== "Bearer wrong" },
  new WebSocketServer({ server: graphqlHttp, path: "/graphql" }),
);

const broker = await Aedes.createBroker();
broker.authenticate = (client, username, password, done) => done(null, String(password ?? "") !== "wrong");
const mqttHttp = createServer();
const sockets = new WebSocketServer({ server: mqttHttp, handleProtocols: (offered) => offered.has("mqtt") && "mqtt" });
sockets.on("connection", (socket, request) => broker.handle(createWebSocketStream(socket), request));

console.log(JSON.stringify({ graphql: await listening(graphqlHttp), mqtt: await listening(mqttHttp) }));
process.stdin.resume().on("end", () => process.exit(0));
