"use strict";
// Whatever a model wrote reaches the page through here: as text of nodes, never as markup.

/** An element with properties and children; strings become text. */
function element(name, properties = {}, ...children) {
  const node = document.createElement(name);
  for (const [key, value] of Object.entries(properties)) {
    if (key === "class") node.className = value;
    else if (key.startsWith("aria-") || key.startsWith("data-") || key === "role") {
      node.setAttribute(key, value);
    } else node[key] = value;
  }
  node.append(...children);
  return node;
}

// Characters that are not seen, or that turn the order of what is seen: controls but for newline
// and tab, format characters such as direction overrides and joiners, private and broken ones.
const UNSEEN = /[\p{Cc}\p{Cf}\p{Co}\p{Cs}\u2028\u2029]/gu;
const LONGEST = 20000; // characters shown before somebody asks for the rest

/** `text` as nodes in which unseen characters are named. */
function reveal(text) {
  const nodes = document.createDocumentFragment();
  let from = 0;
  for (const match of text.matchAll(UNSEEN)) {
    if (match[0] === "\n" || match[0] === "\t") continue;
    const code = match[0].codePointAt(0).toString(16).toUpperCase().padStart(4, "0");
    nodes.append(text.slice(from, match.index));
    nodes.append(element("span", { class: "unseen", title: "a character that is not seen" }, `U+${code}`));
    from = match.index + match[0].length;
  }
  nodes.append(text.slice(from));
  return nodes;
}

/** A block of text as it is; of a long one the beginning, and a button for the rest. */
function block(text) {
  const pre = element("pre");
  if (text.length <= LONGEST) {
    pre.append(reveal(text));
    return pre;
  }
  const more = element("button", { type: "button" }, `show all ${text.length} characters`);
  pre.append(reveal(text.slice(0, LONGEST)), "\n", more);
  more.addEventListener("click", () => pre.replaceChildren(reveal(text)));
  return pre;
}

function percent(value) {
  return value === null || value === undefined ? "-" : `${Math.round(value * 100)}%`;
}

function number(value) {
  if (value === null || value === undefined) return "-";
  if (Math.abs(value) >= 1000) return Math.round(value).toLocaleString("en");
  return String(Number(value.toPrecision(3)));
}
