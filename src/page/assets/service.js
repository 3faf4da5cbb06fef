// One Service with its backends.

import { ask } from "./agent.js";
import { breakable, byId, facts, heading, make, tell } from "./dom.js";
import * as words from "./words.js";

/** How often backends are asked for while they are looked at, in milliseconds: the watch does not tell of each. */
const PACE = 2000;

const COLUMNS = [
  { title: "Port", text: words.servicePort },
  { title: "Address", text: ({ address }) => address, code: true },
  { title: "Pod", text: ({ pod }) => words.known(pod) },
  { title: "Node", text: ({ node }) => words.known(node) },
  { title: "Zone", text: ({ zone }) => words.known(zone) },
  { title: "Conditions", text: ({ conditions }) => words.conditions(conditions) },
  { title: "Internal", use: ({ internal }) => internal },
  { title: "External", use: ({ external }) => external },
  { title: "Local", use: ({ local }) => local },
];

/** The view of a Service; its name says which. */
export class ServiceView {
  #services;
  #name = null;
  #asking = new AbortController();
  #timer = null;

  constructor(services) {
    this.#services = services;
    byId("backends-table").tHead.append(heading(COLUMNS));
  }

  /** Shows a Service by its name, `NAMESPACE/NAME`, until `hide`. */
  show(name) {
    this.hide();
    this.#name = name;
    byId("service-heading").textContent = name;
    byId("backends-table").tBodies[0].replaceChildren();
    tell(byId("service-message"), null);
    this.draw();
    this.#ask();
  }

  hide() {
    this.#name = null;
    this.#asking.abort();
    clearTimeout(this.#timer);
  }

  /** Draws what is known of the Service; `changed` are the names of those that are different, or null for all. */
  draw(changed = null) {
    if (this.#name === null || (changed !== null && !changed.includes(this.#name))) return;
    const service = this.#services.get(this.#name);
    facts(byId("service-facts"), service === undefined ? [] : describe(service));
  }

  async #ask() {
    const [namespace, name] = this.#name.split("/").map(encodeURIComponent);
    this.#asking = new AbortController();
    const { signal } = this.#asking;
    try {
      const { items } = await ask(`/v1/services/${namespace}/${name}/backends`, signal);
      tell(byId("service-message"), items.length === 0 ? "This Service has no backends." : null, false);
      this.#backends(items);
    } catch (error) {
      if (error.name === "AbortError") return;
      tell(byId("service-message"), error.message);
      this.#backends([]);
    }
    if (!signal.aborted) this.#timer = setTimeout(() => document.hidden ? this.#later() : this.#ask(), PACE);
  }

  #later() {
    document.addEventListener("visibilitychange", () => this.#name !== null && this.#ask(), { once: true });
  }

  #backends(backends) {
    const body = byId("backends-table").tBodies[0];
    while (body.rows.length > backends.length) body.lastElementChild.remove();
    backends.forEach((backend, index) => {
      const row = body.rows[index] ?? body.appendChild(emptyRow());
      COLUMNS.forEach((column, number) => {
        const cell = row.cells[number];
        const use = column.use?.(backend);
        const text = column.use ? words.use(use) : column.text(backend);
        cell.classList.toggle("good", use?.used === true);
        cell.classList.toggle("bad", use?.used === false);
        if (cell.textContent !== text) cell.textContent = text;
      });
    });
  }
}

function emptyRow() {
  return make("tr", {}, ...COLUMNS.map(({ code }) => make("td", { class: code ? "code" : null })));
}

/** What a Service asks for, in terms and descriptions. */
function describe(service) {
  const { backends } = service;
  const ranges = service.loadBalancerSourceRanges;
  return [
    ["Type", words.known(service.type)],
    ["Frontends", frontends(service)],
    ["Node ports", nodePorts(service)],
    ["Backends", `${backends.ready} ready, ${words.known(backends.local)} of them on this node, ${words.known(backends.total)} in all`],
    ["Internal traffic policy", service.internalTrafficPolicy],
    ["External traffic policy", service.externalTrafficPolicy],
    ["Session affinity", service.affinitySeconds === null ? null : `by client, for ${service.affinitySeconds} seconds`],
    ["Source ranges", ranges?.length > 0 ? breakable(words.list(ranges)) : null],
    ["Health check node port", service.healthCheckNodePort === null ? null : String(service.healthCheckNodePort)],
    ["Age", service.created === null ? null : words.age(words.now() - service.created)],
    ["Conflicts", conflicts(service)],
  ];
}

/** Addresses with ports, each with a way to the form that traces a packet there. */
function frontends(service) {
  const addresses = [...service.clusterIPs, ...service.loadBalancerIPs, ...service.externalIPs];
  const all = addresses.flatMap((address) => service.ports.map(({ port, protocol }) => {
    const host = address.includes(":") ? `[${address}]` : address;
    const destination = `${host}:${port}`;
    const question = new URLSearchParams({ protocol: protocol.toLowerCase(), destination });
    const link = make("a", { href: `#/trace?${question}`, title: "Trace a packet there" }, `${destination}/${protocol}`);
    return make("li", {}, link);
  }));
  return all.length === 0 ? null : make("ul", { class: "code" }, ...all);
}

function nodePorts({ ports }) {
  const with_ = ports.filter(({ nodePort }) => nodePort !== null);
  return with_.length === 0 ? null : words.list(with_.map(({ nodePort, protocol }) => `${nodePort}/${protocol}`));
}

function conflicts({ conflicts }) {
  if (!conflicts?.length) return null;
  return make("ul", { class: "bad" }, ...conflicts.map(({ frontend, protocol, winner }) =>
    make("li", {}, `${frontend}/${protocol} belongs to the older ${winner}`)));
}
