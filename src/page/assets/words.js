// The words of `svcnat services`, `svcnat backends` and `svcnat status`.

/** What stands where nothing is known. */
export const UNKNOWN = "-";
/** What stands where there is nothing. */
export const NONE = "<none>";

export const known = (value) => value === null || value === undefined ? UNKNOWN : String(value);
export const list = (values) => values.length === 0 ? NONE : values.join(",");

/** `80/TCP`, or `80:30080/TCP` with a node port. */
export function port({ port, nodePort, protocol }) {
  const number = known(port);
  return nodePort === null ? `${number}/${protocol}` : `${number}:${nodePort}/${protocol}`;
}

export function policy({ internalTrafficPolicy: internal, externalTrafficPolicy: external }) {
  if (internal === null && external === null) return UNKNOWN;
  if (internal === "Local" && external === "Local") return "Local";
  if (internal === "Local") return "internal=Local";
  return external === "Local" ? "external=Local" : "Cluster";
}

export const affinity = ({ affinitySeconds }) => affinitySeconds === null ? NONE : `${affinitySeconds}s`;

/** The frontends that an older Service has, and which one. */
export function conflicts({ conflicts }) {
  if (conflicts === null) return UNKNOWN;
  if (conflicts.length === 0) return "0";
  return list(conflicts.map(({ frontend, protocol, winner }) =>
    `${frontend.replace("node port ", "node-port-")}/${protocol}:${winner}`));
}

/** A span of time in its largest unit that says enough, as kubectl has it. */
export function age(seconds) {
  const whole = Math.max(0, Math.floor(seconds));
  if (whole < 120) return `${whole}s`;
  if (whole < 7200) return `${Math.floor(whole / 60)}m`;
  if (whole < 172800) return `${Math.floor(whole / 3600)}h`;
  return `${Math.floor(whole / 86400)}d`;
}

export const now = () => Date.now() / 1000;

/** How long ago a time of RFC 3339 is. */
export const since = (time) => age(now() - Date.parse(time) / 1000);

/** `http/TCP`, or `TCP` for the only port of a Service. */
export const servicePort = ({ port, protocol }) => port === "" ? protocol : `${port}/${protocol}`;

/** The conditions that hold; one that is ready serves. */
export function conditions(found) {
  if (found === null) return UNKNOWN;
  const hold = [];
  if (found.ready) hold.push("ready");
  if (found.serving && !found.ready) hold.push("serving");
  if (found.terminating) hold.push("terminating");
  return hold.length === 0 ? "not ready" : hold.join(",");
}

const REASONS = {
  "ready": "ready",
  "hinted-to-node": "hinted to this node",
  "hinted-to-zone": "hinted to this zone",
  "last-resort": "terminating, but nothing is ready",
  "in-rules": "in the rules",
  "not-ready": "not ready",
  "terminating": "terminating",
  "on-another-node": "on another node",
  "hinted-to-other-node": "hinted to other nodes",
  "hinted-to-other-zone": "hinted to other zones",
  "not-in-rules": "not in the rules",
};

/** Whether a backend is used, and why or why not. */
export function use(found) {
  if (found === null) return UNKNOWN;
  return `${found.used ? "yes" : "no"}: ${REASONS[found.reason] ?? found.reason}`;
}

/** A count with its noun. */
export const count = (number, one, many) => `${number.toLocaleString("en")} ${number === 1 ? one : many}`;
