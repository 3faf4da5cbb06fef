// How the agent fares.

import { byId, facts } from "./dom.js";
import * as words from "./words.js";

const STATES = {
  "in-step": ["in step", "good", "in step: the kernel holds what it should"],
  "waiting": ["waiting", "warn", "waiting: not all that exists has been told yet"],
  "out-of-step": ["out of step", "bad", "out of step: the kernel may hold something else"],
};

/** Shows what the agent says of itself. */
export function showStatus(status) {
  const [short, kind, long] = STATES[status.state] ?? [status.state, "warn", status.state];
  mark(short, status.pending > 0 ? `, ${words.count(status.pending, "change", "changes")} pending` : "", kind);
  byId("node").textContent = status.node;
  document.title = `svcnat on ${status.node}`;
  facts(byId("status-facts"), [
    ["State", long],
    ["Problem", status.problem],
    ["Agent", `svcnat ${status.version} on ${status.node}, for ${words.since(status.started)}, follows ${status.source}`],
    ["Mode", status.layout === null ? status.mode : `${status.mode}, layout ${status.layout}`],
    ["Tables", status.ownsTables ? "the agent's own" : "open to changes by others, which are mended"],
    ["Last sync", status.lastSync === null ? "none" : lastSync(status.lastSync)],
    ["Pending", words.count(status.pending, "change", "changes")],
    ["Rules for", status.counts === null ? null : counts(status.counts)],
    ["Mended", mended(status.repairs)],
    ["Failures", status.failures.toLocaleString("en")],
    ["Node", status.eligible ? null : "load balancers should not send traffic here"],
  ]);
}

/** Shows that the agent says nothing. */
export function showNoStatus(error) {
  mark("no answer", "", "bad");
  facts(byId("status-facts"), [["State", error.message]]);
}

function mark(state, more, kind) {
  const place = byId("state");
  place.className = `badge ${kind}`;
  const text = state + more;
  if (place.textContent !== text) place.textContent = text;
}

function lastSync({ time, seconds, full, operations, bytes }) {
  const what = full ? "everything compared" : "a change";
  const sent = `${words.count(operations, "operation", "operations")}, ${words.count(bytes, "byte", "bytes")}`;
  return `${words.since(time)} ago, ${what}, took ${(seconds * 1000).toFixed(1)} ms, ${sent}`;
}

function counts({ services, frontends, backends, conflicts }) {
  return [
    words.count(services, "Service", "Services"),
    words.count(frontends, "frontend", "frontends"),
    words.count(backends, "backend", "backends"),
    words.count(conflicts, "conflict", "conflicts"),
  ].join(", ");
}

function mended({ transactionFailed, changedByOthers, resync }) {
  const all = words.count(transactionFailed + changedByOthers + resync, "time", "times");
  return `${all}: ${changedByOthers} after changes by others, ${transactionFailed} after refusals, ${resync} found by comparing`;
}
