// New connections per second, where the agent counts them and somebody wants to know.

import { ask, repeat } from "./agent.js";
import { byId, tell } from "./dom.js";
import { nameOf } from "./services.js";
import { UNKNOWN } from "./words.js";

/** How often counts are asked for, in milliseconds. */
const PACE = 2000;

/** The new connections of each Service. */
export class Connections {
  #box = byId("connections");
  #changed;
  /** The counts of frontends by what tells them apart, and when they were told, in milliseconds. */
  #before = null;
  /** Per second, by the names of Services. */
  #rates = new Map();

  /** `changed` is called when rates are different, or when they are wanted or not wanted any more. */
  constructor(changed) {
    this.#changed = changed;
    this.#box.addEventListener("change", () => {
      tell(byId("connections-message"), null);
      this.#forget();
      this.#ask();
    });
    repeat(PACE, () => this.#ask());
  }

  /** Whether somebody wants to know. */
  get wanted() {
    return this.#box.checked;
  }

  /** The new connections per second of a Service; null where they are not known. */
  of(service) {
    return this.#rates.get(nameOf(service)) ?? null;
  }

  /** The same as text. */
  text(service) {
    return this.of(service)?.toFixed(1) ?? UNKNOWN;
  }

  #forget() {
    this.#before = null;
    this.#rates = new Map();
    this.#changed();
  }

  async #ask() {
    if (!this.wanted) return;
    try {
      const { items } = await ask("/v1/connections");
      if (this.wanted) this.#compare(items, performance.now());
    } catch (error) {
      tell(byId("connections-message"), error.message);
      this.#box.checked = false;
      this.#forget();
    }
  }

  #compare(items, time) {
    const counts = new Map(items.map((item) =>
      [`${item.namespace}/${item.service}/${item.portName} ${item.protocol} ${item.address} ${item.port}`, item]));
    if (this.#before !== null) {
      const seconds = (time - this.#before.time) / 1000;
      this.#rates = new Map();
      for (const [frontend, { namespace, service, connections }] of counts) {
        const before = this.#before.counts.get(frontend)?.connections ?? connections;
        // A frontend that was gone meanwhile begins at 0.
        const more = connections < before ? connections : connections - before;
        const name = nameOf({ namespace, name: service });
        this.#rates.set(name, (this.#rates.get(name) ?? 0) + more / seconds);
      }
      this.#changed();
    }
    this.#before = { counts, time };
  }
}
