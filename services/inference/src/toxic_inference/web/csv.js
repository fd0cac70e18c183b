const TEXT_COLUMNS = ["comment_text", "content", "text", "comment", "message", "body"];

export function textColumnOf(header, chosen = "") {
  const known = chosen.trim() ? [chosen.trim().toLowerCase()] : TEXT_COLUMNS;
  return header.findIndex((name) => known.includes(name.trim().toLowerCase()));
}

// RFC 4180: quoted cells, doubled quotes, line breaks inside quotes.
export function parseCsv(text) {
  const rows = [];
  const stop = /[,\r\n]|$/g;
  let row = [];
  let at = 0;
  while (at < text.length) {
    let cell = "";
    if (text[at] === '"') {
      for (at += 1; at < text.length; at += 1) {
        if (text[at] !== '"') cell += text[at];
        else if (text[at + 1] === '"') { cell += '"'; at += 1; }
        else break;
      }
      at += 1;
    } else {
      stop.lastIndex = at;
      const end = stop.exec(text).index;
      cell = text.slice(at, end);
      at = end;
    }
    row.push(cell);
    if (text[at] === ",") { at += 1; if (at === text.length) row.push(""); continue; }
    if (text[at] === "\r") at += 1;
    at += 1;
    rows.push(row);
    row = [];
  }
  return rows;
}
