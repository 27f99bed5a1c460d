// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

// Elements, and how they are changed without touching what stays as it is. What
// comes from the group is only ever put in as text.

export const byId = (id) => document.getElementById(id);

// element makes one of a class with children, of which strings become text.
export function element(name, className = "", ...children) {
  const e = document.createElement(name);
  if (className) e.className = className;
  e.append(...children);
  return e;
}

export function setText(e, text) {
  if (e.textContent !== text) e.textContent = text;
}

export function setClass(e, name) {
  if (e.className !== name) e.className = name;
}

export function setHidden(e, hidden) {
  if (e.hidden !== hidden) e.hidden = hidden;
}

export function setTitle(e, title) {
  if (e.title !== title) e.title = title;
}

export function setData(e, name, value) {
  if (e.dataset[name] !== value) e.dataset[name] = value;
}

// restart plays an element's animation of a class once more.
export function restart(e, className) {
  e.classList.remove(className);
  void e.offsetWidth; // so that the browser notices
  e.classList.add(className);
}

// row makes one of a table that becomes a card on a small screen: each cell knows
// its column's name. The roles are those that it loses there.
export function row(columns) {
  const tr = element("tr");
  tr.setAttribute("role", "row");
  const cells = {};
  for (const [name, label, className] of columns) {
    const td = element("td", className);
    td.setAttribute("role", "cell");
    td.dataset.label = label;
    cells[name] = td;
    tr.append(td);
  }
  return { tr, cells };
}

// arrange brings the children of an element into an order, moving only what is not
// in its place.
export function arrange(parent, wanted) {
  let at = parent.firstElementChild;
  for (const e of wanted) {
    if (e === at) at = at.nextElementSibling;
    else parent.insertBefore(e, at);
  }
}
