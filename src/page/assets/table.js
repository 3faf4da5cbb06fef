// The table of Services.

import { breakable, byId, make } from "./dom.js";
import { nameOf } from "./services.js";
import * as words from "./words.js";

/** How many rows are shown at first, and how many more each time: a browser lays out so many in no time. */
const ROWS = 200;

/** The least time between two drawings, in milliseconds. */
const PACE = 200;

/** How often ages are looked at, in milliseconds. */
const AGES = 10000;

const collator = new Intl.Collator("en", { numeric: true });

/** What each column says of a Service and its connections; `by` is what it is sorted by where that is not the text, `size` where it
 * is shown. */
const COLUMNS = [
  { title: "Namespace", text: (service) => service.namespace },
  { title: "Name", text: (service) => service.name, link: true },
  { title: "Type", text: (service) => words.known(service.type) },
  { title: "Cluster IP", text: (service) => words.list(service.clusterIPs), code: true },
  { title: "External IP", text: (service) => words.list(externals(service)), code: true, size: "medium" },
  { title: "Ports", text: (service) => words.list(service.ports.map(words.port)), code: true },
  { title: "Ready", text: ({ backends }) => String(backends.ready), by: ({ backends }) => backends.ready, number: true,
    bad: ({ backends }) => backends.ready === 0 },
  { title: "Local", text: ({ backends }) => words.known(backends.local), by: ({ backends }) => backends.local, number: true },
  { title: "Total", text: ({ backends }) => words.known(backends.total), by: ({ backends }) => backends.total, number: true },
  { title: "Policy", text: words.policy, size: "medium" },
  { title: "Affinity", text: words.affinity, by: (service) => service.affinitySeconds ?? 0, number: true, size: "large" },
  { title: "Conflicts", text: words.conflicts, by: ({ conflicts }) => conflicts?.length ?? 0, code: true, long: true,
    bad: ({ conflicts }) => conflicts?.length > 0 },
  { title: "Age", text: age, by: ({ created }) => created === null ? Infinity : -created, number: true, passes: true, size: "large" },
  { title: "Source ranges", text: sourceRanges, code: true, size: "wide" },
  { title: "Health check", text: healthCheck, by: (service) => service.healthCheckNodePort ?? 0, number: true, size: "wide" },
  { title: "Connections/s", text: (service, connections) => connections.text(service),
    by: (service, connections) => connections.of(service) ?? 0, number: true, passes: true, size: "counted" },
];

function externals(service) {
  return [...service.loadBalancerIPs, ...service.externalIPs];
}

function age({ created }) {
  return created === null ? words.UNKNOWN : words.age(words.now() - created);
}

function sourceRanges({ loadBalancerSourceRanges: ranges }) {
  return ranges === null ? words.UNKNOWN : words.list(ranges);
}

function healthCheck({ healthCheckNodePort: port, type }) {
  return port === null && type !== null ? words.NONE : words.known(port);
}

/** The table and what chooses its rows. */
export class ServicesTable {
  #services;
  #connections;
  #body = byId("services-table").tBodies[0];
  #more = byId("more");
  #filter = byId("filter");
  #namespace = byId("namespace");
  #limit = ROWS;
  #sort = { column: null, descending: false };
  #drawing = null;
  /** The rows by the names of their Services. */
  #rows = new Map();
  /** What a Service says in all columns but those that time changes, in lower case. */
  #texts = new WeakMap();

  constructor(services, connections) {
    this.#services = services;
    this.#connections = connections;
    this.#heading();
    const anew = () => {
      this.#limit = ROWS;
      this.draw();
    };
    this.#filter.addEventListener("input", anew);
    this.#namespace.addEventListener("change", anew);
    this.#more.addEventListener("click", () => {
      this.#limit += ROWS;
      this.#draw();
    });
    this.#body.addEventListener("click", (event) => this.#follow(event));
    setInterval(() => this.draw(), AGES);
  }

  /** Draws soon, once for all that changes until then. `changed` are names whose rows catch the eye. */
  draw(changed = []) {
    for (const name of changed) this.#rows.get(name)?.classList.add("due");
    this.#drawing ??= setTimeout(() => {
      this.#drawing = null;
      this.#draw();
    }, PACE);
  }

  #heading() {
    const row = make("tr");
    for (const column of COLUMNS) {
      const button = make("button", { type: "button" }, column.title);
      const cell = make("th", { scope: "col", class: classes(column) }, button);
      button.addEventListener("click", () => {
        this.#sort = { column, descending: this.#sort.column === column && !this.#sort.descending };
        for (const other of row.cells) other.removeAttribute("aria-sort");
        cell.setAttribute("aria-sort", this.#sort.descending ? "descending" : "ascending");
        this.#draw();
      });
      row.append(cell);
    }
    byId("services-table").tHead.append(row);
  }

  #draw() {
    byId("services-table").classList.toggle("counting", this.#connections.wanted);
    this.#namespaces();
    const chosen = this.#chosen();
    const shown = chosen.slice(0, this.#limit);
    const rows = shown.map((service) => this.#row(service));
    rows.forEach((row, index) => {
      if (this.#body.rows[index] !== row) this.#body.insertBefore(row, this.#body.rows[index] ?? null);
    });
    while (this.#body.rows.length > rows.length) this.#body.lastElementChild.remove();
    this.#rows = new Map(shown.map((service, index) => [nameOf(service), rows[index]]));
    const [all, found] = [this.#services.size, chosen.length];
    const of = found === all ? "" : ` of ${all.toLocaleString("en")}`;
    const hidden = found - shown.length;
    const but = hidden > 0 ? `, ${hidden.toLocaleString("en")} of them not shown` : "";
    byId("count").textContent = `${words.count(found, "Service", "Services")}${of}${but}`;
    this.#more.hidden = hidden === 0;
    this.#more.textContent = `Show ${words.count(Math.min(ROWS, hidden), "more Service", "more Services")}`;
  }

  /** The Services that are asked for, in the order that is asked for. */
  #chosen() {
    const namespace = this.#namespace.value;
    const asked = this.#filter.value.toLowerCase().split(/\s+/).filter((word) => word !== "");
    const chosen = [...this.#services.values()].filter((service) =>
      (namespace === "" || service.namespace === namespace) &&
      (asked.length === 0 || asked.every((word) => this.#text(service).includes(word))));
    const byName = (a, b) => compare(nameOf(a), nameOf(b));
    const { column, descending } = this.#sort;
    if (column === null) return chosen.sort(byName);
    const by = column.by ?? column.text;
    const sign = descending ? -1 : 1;
    const keyed = chosen.map((service) => [by(service, this.#connections), service]);
    keyed.sort(([a, s], [b, t]) => sign * compare(a, b) || byName(s, t));
    return keyed.map(([, service]) => service);
  }

  #text(service) {
    let text = this.#texts.get(service);
    if (text === undefined) {
      text = COLUMNS.filter(({ passes }) => !passes).map((column) => column.text(service)).join(" ").toLowerCase();
      this.#texts.set(service, text);
    }
    return text;
  }

  #row(service) {
    const name = nameOf(service);
    const row = this.#rows.get(name) ?? emptyRow(service);
    COLUMNS.forEach((column, index) => {
      const cell = row.cells[index];
      cell.classList.toggle("bad", column.bad?.(service) ?? false);
      const text = column.text(service, this.#connections);
      if (cell.textContent === text) return;
      (cell.querySelector("a") ?? cell).replaceChildren(...(column.code && !column.long ? breakable(text) : [text]));
    });
    if (row.classList.contains("due")) {
      row.classList.remove("due");
      const colours = [{ backgroundColor: "var(--changed)" }, { backgroundColor: "transparent" }];
      row.animate(colours, { duration: 2000 });
    }
    return row;
  }

  /** A click anywhere in a row follows its link, but not where it ends a selection of text. */
  #follow(event) {
    const link = event.target.closest("tr")?.querySelector("a");
    if (link && !event.target.closest("a") && getSelection().isCollapsed) link.click();
  }

  #namespaces() {
    const names = [...new Set([...this.#services.values()].map(({ namespace }) => namespace))].sort(compare);
    const options = [...this.#namespace.options].slice(1).map(({ value }) => value);
    if (names.length === options.length && names.every((name, index) => name === options[index])) return;
    const { value } = this.#namespace;
    const all = this.#namespace.options[0];
    this.#namespace.replaceChildren(all, ...names.map((name) => make("option", { value: name }, name)));
    this.#namespace.value = names.includes(value) ? value : "";
  }
}

function compare(a, b) {
  return typeof a === "string" ? collator.compare(a, b) : a - b || 0;
}

function classes({ number, code, long, size }) {
  return [number && "number", code && "code", long && "long", size].filter(Boolean).join(" ") || null;
}

function emptyRow(service) {
  const address = `#/services/${encodeURIComponent(service.namespace)}/${encodeURIComponent(service.name)}`;
  return make("tr", {}, ...COLUMNS.map((column) => column.link
    ? make("th", { scope: "row", class: classes(column) }, make("a", { href: address }))
    : make("td", { class: classes(column) })));
}
