// Asking the agent. Errors have a message for people, but for an AbortError, which is nobody's business.

/** How long to wait before the agent is asked again that did not answer, in milliseconds. */
const RETRY = 2000;

/** How long a page that nobody looks at goes on to follow the Services, in milliseconds. */
const LINGER = 30000;

/** What `promise` gives; a failure of the network is said in these words. */
async function orSay(words, promise) {
  try {
    return await promise;
  } catch (error) {
    throw error.name === "AbortError" ? error : new Error(words);
  }
}

/** A response that is an answer. */
async function respond(path, signal) {
  const words = "The agent does not answer: it has ended, or the way to it is cut.";
  const response = await orSay(words, fetch(path, { signal }));
  if (response.ok) return response;
  const complaint = await response.json().catch(() => null);
  throw new Error(complaint?.message ?? `The agent answers with status ${response.status}.`);
}

/** The agent's answer to a question. */
export async function ask(path, signal) {
  const response = await respond(path, signal);
  return orSay("The agent's answer is not whole.", response.json());
}

const pause = (milliseconds) => new Promise((resolve) => setTimeout(resolve, milliseconds));

/** Waits until somebody looks at the page. */
async function visible() {
  while (document.hidden) {
    await new Promise((resolve) => document.addEventListener("visibilitychange", resolve, { once: true }));
  }
}

/** Does something again and again while somebody looks, with pauses in milliseconds. */
export async function repeat(milliseconds, work) {
  for (;;) {
    await visible();
    await work();
    await pause(milliseconds);
  }
}

/** Follows the Services, and begins anew when that fails. */
export class Watch {
  #tell;
  #controller = new AbortController();

  /** `began` is called when all is told anew, `told` with events in batches, `lost` with an Error when there will be no more. */
  constructor({ began, told, lost }) {
    this.#tell = { began, told, lost };
    document.addEventListener("visibilitychange", () =>
      setTimeout(() => document.hidden && this.restart(), LINGER));
    this.#run();
  }

  /** Begins anew. */
  restart() {
    this.#controller.abort();
  }

  async #run() {
    for (;;) {
      await visible();
      this.#controller = new AbortController();
      try {
        await this.#follow(this.#controller.signal);
      } catch (error) {
        if (error.name !== "AbortError") {
          this.#tell.lost(error);
          await pause(RETRY);
        }
      }
    }
  }

  async #follow(signal) {
    const response = await respond("/v1/services?watch=true", signal);
    this.#tell.began();
    const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
    let rest = "";
    for (;;) {
      const { value, done } = await orSay("The way to the agent is cut.", reader.read());
      if (done) throw new Error("The agent has ended.");
      const lines = (rest + value).split("\n");
      rest = lines.pop();
      if (lines.length > 0) this.#tell.told(lines.map((line) => JSON.parse(line)));
    }
  }
}
