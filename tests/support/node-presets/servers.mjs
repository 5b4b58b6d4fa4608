// graphql-ws, aedes and stomp-broker-js, each on a free loopback port; prints {"graphql": port, "mqtt": port, "stomp":
// port}, ends with its stdin.
import { createServer } from "node:http";
import { Aedes } from "aedes";
import { buildSchema } from "graphql";
import { useServer } from "graphql-ws/use/ws";
import StompServer from "stomp-broker-js";
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

const stompHttp = createServer();
const stomp = new StompServer({ server: stompHttp, path: "/stomp", heartbeat: [0, 0] });
stomp.addMiddleware("connect", (_socket, { headers }, next) => headers.passcode !== "wrong" && next());
// This broker gives nobody their own message back, so an application behind it answers on the same topic.
stomp.subscribe("/**", (text, { destination }) => stomp.send(destination, {}, text));

const servers = { graphql: graphqlHttp, mqtt: mqttHttp, stomp: stompHttp };
const ports = {};
for (const [name, server] of Object.entries(servers)) ports[name] = await listening(server);
console.log(JSON.stringify(ports));
process.stdin.resume().on("end", () => process.exit(0));
