// One socket per tab. Messages that come before their page's module has loaded wait for it.
//   listen("flags", ({ topic, data, whole, at }) => ...)
import { clock, freeze, learnServerTime, now, tick } from "./time.js";

const SILENT_MS = 3000;
const DEAD_MS = 8000;
const BACKOFF_MS = [500, 10000];
const SIGNED_OUT = 4401;

const handlers = new Map();
const waiting = new Map();
let topics = [];
let socket = null;
let attempt = 0;
let timer = null;
let lastHeard = 0;
let lastServerTime = 0;
let missing = new Set();
let state = "joining";
let databaseAway = null;
let signedOut = false;
const watchers = new Set();

export function listen(family, handler) {
  handlers.set(family, handler);
  for (const message of waiting.get(family) ?? []) handler(message);
  waiting.delete(family);
}

// Called with ("joining" | "live" | "away", the time of the last message, facts) at each change.
export function onState(watcher) { watchers.add(watcher); }

// What the page tells of itself, by type; told again whenever the socket is new.
const telling = new Map();
export function tell(message) {
  telling.set(message.type, message);
  if (socket?.readyState === WebSocket.OPEN) socket.send(JSON.stringify(message));
}

export function start(names) {
  topics = names;
  connect();
  setInterval(check, 1000);
  document.addEventListener("visibilitychange", () => {
    if (document.visibilityState !== "visible") return;
    if (socket?.readyState === WebSocket.OPEN) resync(); else connect();
  });
  window.addEventListener("online", connect);
  window.addEventListener("pagehide", () => socket?.close());
  window.addEventListener("pageshow", (event) => { if (event.persisted) connect(); });
}

function connect() {
  clearTimeout(timer);
  if (signedOut || (socket && socket.readyState <= WebSocket.OPEN)) return;
  const opened = new WebSocket(`${location.protocol === "https:" ? "wss:" : "ws:"}//${location.host}/ws/live/`);
  let answered = false;
  socket = opened;
  opened.addEventListener("open", () => { answered = true; attempt = 0; lastHeard = Date.now(); resync(); });
  opened.addEventListener("message", (event) => receive(JSON.parse(event.data)));
  opened.addEventListener("close", (event) => {
    if (socket !== opened) return;
    socket = null;
    if (!answered || event.code === SIGNED_OUT) askWhy();
    retry();
  });
}

function retry() {
  const wait = Math.min(BACKOFF_MS[1], BACKOFF_MS[0] * 2 ** attempt) * (0.5 + Math.random() / 2);
  attempt += 1;
  clearTimeout(timer);
  timer = setTimeout(connect, wait);
}

// A refused handshake looks like a dead server: a plain request tells them apart.
async function askWhy() {
  try {
    const answer = await fetch(location.pathname, { method: "HEAD", redirect: "manual", cache: "no-store" });
    if (answer.type === "opaqueredirect") { signedOut = true; setState("away"); }
  } catch {
    // No server: the next attempt follows.
  }
}

function resync() {
  missing = new Set(topics);
  socket.send(JSON.stringify({ type: "subscribe", topics, seq: attempt }));
  for (const message of telling.values()) socket.send(JSON.stringify(message));
}

function receive(message) {
  lastHeard = Date.now();
  if (message.at) { lastServerTime = Date.parse(message.at); learnServerTime(message.at); }
  if (message.type === "heartbeat") {
    socket?.send('{"type":"seen"}');
    databaseAway = message.database_away_since ?? null;
  } else if (message.type === "update") {
    missing.delete(message.topic);
    dispatch(message);
  }
  if (databaseAway) setState("away"); else if (missing.size === 0) setState("live");
}

function dispatch(message) {
  const family = message.topic.split(":")[0];
  const handler = handlers.get(family);
  if (handler) handler(message);
  else waiting.set(family, message.whole ? [message] : [...(waiting.get(family) ?? []), message]);
}

function check() {
  const silent = Date.now() - lastHeard;
  if (lastHeard && silent > SILENT_MS) setState("away");
  if (lastHeard && silent > DEAD_MS && socket?.readyState === WebSocket.OPEN) {
    const dead = socket;
    socket = null;
    dead.close();
    retry();
  }
  tick();
}

function setState(next) {
  freeze(next === "away");
  if (next === state && next !== "away") return;
  state = next;
  document.documentElement.dataset.live = next;
  for (const watcher of watchers) watcher(next, { at: lastServerTime || now(), clock, databaseAway, signedOut });
}
