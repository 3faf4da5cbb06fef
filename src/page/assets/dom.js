// Elements. Whatever the agent tells becomes text, never markup.

/** An element with attributes and content; attributes that are null or false are left out. */
export function make(tag, attributes = {}, ...content) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === null || value === false) continue;
    element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...content);
  return element;
}

/** Text that may be broken behind each comma, and nowhere else. */
export function breakable(text) {
  const parts = text.split(",");
  const last = parts.length - 1;
  return parts.flatMap((part, index) => index === last ? [whole(part)] : [whole(`${part},`), make("wbr")]);
}

function whole(text) {
  return make("span", { class: "whole" }, text);
}

/** The element of the page with this id. */
export function byId(id) {
  return document.getElementById(id);
}

/** Shows a message, or hides its place where there is none. */
export function tell(place, message, isBad = true) {
  place.hidden = !message;
  place.classList.toggle("bad", isBad);
  place.textContent = message ?? "";
}

/** Terms with their descriptions: pairs of text and content. Pairs without content are left out; what stays the same is left alone,
 * since somebody may have selected it. */
export function facts(list, pairs) {
  const told = pairs.filter(([, description]) => description !== null && description !== undefined);
  told.forEach(([term, description], index) => {
    const fact = make("div", {}, make("dt", {}, term), make("dd", {}, ...[description].flat()));
    const before = list.children[index];
    if (before === undefined) list.append(fact);
    else if (!before.isEqualNode(fact)) before.replaceWith(fact);
  });
  while (list.children.length > told.length) list.lastElementChild.remove();
}

/** Columns of a table: a heading row. */
export function heading(columns) {
  return make("tr", {}, ...columns.map((column) =>
    make("th", { scope: "col", class: column.number ? "number" : null }, column.title)));
}
