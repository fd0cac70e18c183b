// The page's parts. The frame is in frame.js; the cards are in comment.js, file.js, policy.js and scale.js.

import { $ } from "./api.js";
import "./frame.js";
import "./comment.js";
import "./file.js";
import "./policy.js";
import "./scale.js";

document.addEventListener("key", () => $("comment").focus());
