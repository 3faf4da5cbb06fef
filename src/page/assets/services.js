// The Services, as the agent tells of them.

export const nameOf = (service) => `${service.namespace}/${service.name}`;

/** All Services by their names, as the agent tells of them. */
export class Services {
  #all = new Map();
  /** What has been told of a new watch before it has told all. */
  #fresh = null;
  #changed = () => {};

  get size() {
    return this.#all.size;
  }

  values() {
    return this.#all.values();
  }

  get(name) {
    return this.#all.get(name);
  }

  /** `changed` is called with the names that are different, or with null for all. */
  onChange(changed) {
    this.#changed = changed;
  }

  /** Takes events of the agent. Events that follow a loss tell everything anew. */
  tell(events) {
    const names = [];
    for (const { type, object } of events) {
      if (type === "SYNCED") {
        this.#all = this.#fresh ?? new Map();
        this.#fresh = null;
        this.#changed(null);
        continue;
      }
      const name = nameOf(object);
      const services = this.#fresh ?? this.#all;
      if (type === "DELETED") services.delete(name);
      else services.set(name, object);
      names.push(name);
    }
    if (this.#fresh === null && names.length > 0) this.#changed(names);
  }

  /** What is told next begins with everything. */
  begin() {
    this.#fresh = new Map();
  }
}
