// Small comforts. Every page works without this file.
"use strict";

// A sign-in link of the demonstration has the token behind the #, which browsers never send. It is filled in and not sent:
// otherwise a link on another site could sign somebody in as somebody else, or out.
if (location.hash.startsWith("#token=")) {
  const field = document.getElementById("token");
  if (field) {
    field.value = decodeURIComponent(location.hash.slice("#token=".length));
    history.replaceState(null, "", location.pathname + location.search);
    field.form.querySelector("button").focus();
  }
}

// Typed SQL counts when its button is pressed. Until then the form may not follow it: it would write its own SQL over it.
document.addEventListener("change", (event) => {
  if (event.target.id === "sql") event.stopPropagation();
}, true);

// A question is paid once: the button cannot be pressed again while the answer is on its way.
document.addEventListener("submit", (event) => {
  const button = event.submitter;
  if (button && button.id === "pay") {
    setTimeout(() => { button.disabled = true; button.setAttribute("aria-busy", "true"); }, 0);
  }
});

// What was typed and not sent goes along with a switch of the language, and its form is shown again.
function isChanged(form) {
  return form.id === "ask" || [...form.elements].some((one) => one.options
    ? [...one.options].some((option) => option.selected !== option.defaultSelected && one.selectedIndex > 0)
    : one.type === "checkbox" || one.type === "radio" ? one.checked !== one.defaultChecked : one.value !== one.defaultValue);
}

document.addEventListener("submit", (event) => {
  const languages = event.target;
  if (!languages.matches("form.languages")) return;
  const typed = [...document.querySelectorAll("main form[method=post]:not(#sign-in)")].find(isChanged);
  if (!typed) return;
  languages.querySelectorAll("input").forEach((one) => one.remove());
  const fields = [...new FormData(typed)].filter(([name, value]) => !name.startsWith("_") && typeof value === "string");
  for (const [name, value] of [...fields, ["_again", "yes"]]) {
    const field = document.createElement("input");
    Object.assign(field, { type: "hidden", name, value });
    languages.append(field);
  }
  languages.action = typed.getAttribute("action") || location.pathname + location.search;
});
