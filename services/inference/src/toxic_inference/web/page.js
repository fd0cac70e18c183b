// The page's frame: theme and API key. The cards are in comment.js, file.js, policy.js and scale.js.

import { $ } from "./api.js";
import "./comment.js";
import "./file.js";
import "./health.js";
import "./policy.js";
import "./scale.js";

// Theme: the system's, until the person says otherwise.

const stored = localStorage.getItem("theme");
if (stored) document.documentElement.dataset.theme = stored;
$("theme").addEventListener("click", () => {
  const root = document.documentElement;
  const dark = root.dataset.theme
    ? root.dataset.theme === "dark"
    : matchMedia("(prefers-color-scheme: dark)").matches;
  root.dataset.theme = dark ? "light" : "dark";
  localStorage.setItem("theme", root.dataset.theme);
});

$("key-form").addEventListener("submit", (event) => {
  event.preventDefault();
  sessionStorage.setItem("key", $("key").value.trim());
  $("key-form").hidden = true;
  $("comment").focus();
});
