"""Expand `templates/*.toml` into labelled comments, `train.csv.gz` and `validation.csv.gz`.

The comments depend on the templates alone. `--check` writes nothing and `--show de threat` prints comments;
both list counts and faults, and the exit status is 1 if there is a fault. It needs only the standard library.

A table of a template file is a kind with two blocks, `harmful` and `harmless`, whose lines are templates:

    [a|b|]      one of these
    {who}       an item of `slots.who`, the same one throughout the line
    {group.1}   form 1 of that item; items have the forms `form 0/form 1`
    text ~oI    label marks: a small letter sets a label to 1, a capital makes it unknown; x toxic,
                s severe_toxic, o obscene, t threat, i insult, h identity_hate

`spelling` has other spellings of words, for the share `careless` of the comments, and `letters` those of
single letters or groups of them, for the share `relaxed`.

A line of `long.topics` is a longer comment, its sentences separated by `//`. `left_out.txt` has hashes of
comments that must not be trained on, since an evaluation set contains the same short text.

Invariant: every seventh template is in the validation part only, and each part of a language has every item
of `slots.group` in as many harmful as harmless comments.
"""

import argparse
import csv
import gzip
import hashlib
import io
import random
import re
import sys
import tomllib
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

HERE = Path(__file__).resolve().parent
LEFT_OUT = frozenset((HERE / "left_out.txt").read_text(encoding="utf-8").split())
LABELS = ("toxic", "severe_toxic", "obscene", "threat", "insult", "identity_hate")
LETTERS = dict(zip("xsotih", LABELS, strict=True))
UNKNOWN = ""
HATE = dict(zip(LABELS, ("1", UNKNOWN, "0", "0", UNKNOWN, "1"), strict=True))
INSULT = dict(zip(LABELS, ("1", "0", "0", "0", "1", "0"), strict=True))
THREAT = dict(zip(LABELS, ("1", UNKNOWN, "0", "1", "0", "0"), strict=True))
HARMLESS = dict.fromkeys(LABELS, "0")
KINDS = {
    "negated": HATE, "implied": HATE, "identity": HATE, "target": HATE, "quote": HATE, "word": HATE,
    "person": INSULT | {"identity_hate": UNKNOWN}, "threat": THREAT, "insult": INSULT, "short": INSULT,
    "emoji": INSULT,
}  # fmt: skip
PLAIN = {"short", "emoji", "long"}
PER_TEMPLATE = {"group": 9, "harmful": 10, "harmless": 7, "short": 16, "emoji": 12, "person": 24}
VALIDATION_EVERY = 7
SPACELESS = {"zh", "ja"}
EMOJI = "🙂👀🙏✨💬🤷"


@dataclass(frozen=True)
class Row:
    """A comment with its kind, side, template's number, identity group (or none) and labels."""

    kind: str
    side: str
    template: int
    text: str
    group: str
    labels: dict[str, str]

    @property
    def validates(self) -> bool:
        """Whether the comment is in the validation part."""
        return self.template % VALIDATION_EVERY == 0


def key(text: str) -> str:
    """Return the letters, digits and emoji of `text`; texts with equal keys are the same comment."""
    folded = unicodedata.normalize("NFKC", text).casefold()
    kept = (c for c in folded if unicodedata.category(c) == "So" or unicodedata.category(c)[0] in "LNM")
    return "".join(kept) or text


def digest(text: str) -> str:
    """Return the name of a comment in `left_out.txt`."""
    return hashlib.sha256(key(text).encode()).hexdigest()[:16]


class Language:
    """The templates of one language."""

    def __init__(self, path: Path) -> None:
        self.doc = tomllib.loads(path.read_text(encoding="utf-8"))
        self.code: str = self.doc["lang"]
        self.slots = {k: [i.strip() for i in v.split("|")] for k, v in self.doc["slots"].items()}
        self.gap = "" if self.code in SPACELESS else " "

    def fill(self, template: str, group: str, rng: random.Random) -> str:
        """Return one expansion of a template, capitalised unless the template begins with a small letter."""
        line = template
        while (text := re.sub(r"\[([^\[\]]*)\]", lambda m: rng.choice(m[1].split("|")), line)) != line:
            line = text
        picked = {name: rng.choice(items) for name, items in self.slots.items()} | {"group": group}
        text = re.sub(r"\{(\w+)\.?(\d?)\}", lambda m: picked[m[1]].split("/")[int(m[2] or 0)], text)
        text = re.sub(r" +([,.])(?!\.)", r"\1", " ".join(text.split()))
        if template[:1].islower():
            return text
        return re.sub(r"(^[\"“„«¿¡]?|(?<!\.)[.!?] [¿¡]?)([^\W\d_])", lambda m: m[1] + self.upper(m[2]), text)

    def upper(self, text: str) -> str:
        """Return `text` in capitals."""
        return (text.replace("i", "İ") if self.code == "tr" else text).upper()

    def lower(self, text: str) -> str:
        """Return `text` in small letters."""
        return (text.replace("İ", "i").replace("I", "ı") if self.code == "tr" else text).lower()

    def dress(self, row: Row, rng: random.Random) -> str:
        """Return the comment with openers, closers and careless spelling, whatever its side."""
        text, common, chance = row.text, self.doc["common"], rng.random
        if row.kind not in PLAIN:
            if chance() < 0.10:
                text = rng.choice(common["open"].split("|")) + self.gap + text
            if chance() < 0.07:
                text += (self.gap or "。" * text[-1].isalnum()) + rng.choice(common["close"].split("|"))
            if chance() < 0.07:
                text += " " + rng.choice(EMOJI)
        if chance() < self.doc.get("careless", 0.2):
            spelling = self.doc.get("spelling", {})
            text = re.sub(
                r"[^\s.,!?:;।،؟\"]+",
                lambda m: rng.choice(spelling.get(self.lower(m[0]), m[0]).split("|")),
                text,
            )
            text = self.lower(
                re.sub(r"[.,!;:،؛。，！]+(?=\s|$)", self.gap and "", text) if chance() < 0.6 else text
            )
        letters = self.doc.get("letters", {})
        if letters and chance() < self.doc.get("relaxed", 0.2):
            pattern = "|".join(sorted(letters, key=len, reverse=True))
            text = re.sub(pattern, lambda m: rng.choice(letters[m[0]].split("|")), text)
        style = chance()
        if style < 0.05 and len(text) < 120:
            return self.upper(text)
        if style < 0.12:
            return text.rstrip(".!。।") + rng.choice(["!!!", "!!", "...", "!"])
        if row.kind == "short" and style > 0.94 and self.gap and self.code not in {"ar", "hi", "ko"}:
            return "   ".join(" ".join(word) for word in text.split())
        return text

    def templates(self) -> Iterator[tuple[int, str, str, str]]:
        """Yield number, kind, side and line of every template."""
        number = 0
        for kind, sides in ((k, v) for k, v in self.doc.items() if k in {*KINDS, "long"}):
            for side, block in sides.items():
                for line in filter(None, map(str.strip, block.splitlines())):
                    number += 1
                    yield number, kind, side, line

    def expansions(self) -> Iterator[Row]:
        """Yield the comments before they are dressed; the longer ones contain some of the others."""
        short: dict[tuple[str, bool], list[Row]] = defaultdict(list)
        for number, kind, side, line in self.templates():
            rng = random.Random(f"{self.code} {kind} {side} {line}")
            text, _, marks = line.partition(" ~")
            if kind == "long":
                row = Row(kind, side, number, text, "", HARMLESS)
                yield from self.longer(
                    row, {s: short[s, row.validates] for s in ("harmful", "harmless")}, rng
                )
                continue
            labels = (KINDS[kind] if side == "harmful" else HARMLESS) | {
                LETTERS[c.lower()]: "1" if c.islower() else UNKNOWN for c in marks
            }
            groups = rng.sample(self.slots["group"], len(self.slots["group"])) if "{group" in line else [""]
            texts: dict[str, str] = {}
            for draw in range(60):
                group = groups[draw % len(groups)]
                texts.setdefault(self.fill(text, group, rng), group)
            limit = PER_TEMPLATE.get(kind) or PER_TEMPLATE["group" if groups[0] else side]
            for text, group in list(texts.items())[:limit]:
                row = Row(kind, side, number, text, group.partition("/")[0], labels)
                if kind not in PLAIN and len(text) < 140:
                    short[side, row.validates].append(row)
                yield row

    def longer(self, topic: Row, short: dict[str, list[Row]], rng: random.Random) -> Iterator[Row]:
        """Yield longer comments: with a harmful sentence, with a harmless one, and without either."""
        for draw in range(18):
            sentences = [self.fill(s.strip(), "", rng) for s in topic.text.split("//")]
            kept = sorted(rng.sample(range(len(sentences)), rng.randint(3, len(sentences))))
            sentences = [sentences[i] for i in kept]
            if draw % 3 < 2:
                yield replace(topic, text=self.gap.join(sentences), side="harmless")
            side = ("harmful", "harmless", "harmful")[draw % 3]
            if short[side]:
                row = rng.choice(short[side])
                end = "" if row.text[-1] in '.!?。！？।؟…"”»' else "。" if self.code in SPACELESS else "."
                sentences.insert((0, len(sentences) // 2, len(sentences))[draw // 3 % 3], row.text + end)
                yield replace(row, kind="long", template=topic.template, text=self.gap.join(sentences))

    def rows(self, seen: set[str]) -> list[Row]:
        """Return the comments of the language, none of which has a key in `seen`; adds theirs to it."""
        rows = []
        for row in self.expansions():
            plain = key(row.text)
            dressed = self.dress(row, random.Random(f"{self.code} {row.text}"))
            text = dressed if key(dressed) not in seen else row.text
            if plain not in seen and key(text) not in seen and digest(text) not in LEFT_OUT:
                rows.append(replace(row, text=text))
            seen |= {plain, key(dressed)}
        random.Random(self.code).shuffle(rows)
        counts = Counter((row.validates, row.group, row.side) for row in rows)
        taken: Counter[tuple[bool, str, str]] = Counter()
        kept = []
        for row in rows:
            one = (row.validates, row.group, row.side)
            taken[one] += 1
            if not row.group or taken[one] <= min(counts[*one[:2], s] for s in ("harmful", "harmless")):
                kept.append(row)
        return kept

    def faults(self, rows: list[Row]) -> Iterator[str]:
        """Yield what is wrong with the language's templates and comments."""
        for number, kind, side, line in self.templates():
            if line.count("[") != line.count("]") or line.count("{") != line.count("}"):
                yield f"{self.code} {kind} {side} t{number:03d}: brackets don't pair in {line[:60]!r}"
        for name in set(self.doc) - {
            "lang",
            "careless",
            "relaxed",
            "common",
            "slots",
            "spelling",
            "letters",
            "long",
            *KINDS,
        }:
            yield f"{self.code}: table {name!r} is unknown"
        sides = Counter((row.kind, row.side) for row in rows)
        for kind, side in ((k, s) for k in (*KINDS, "long") for s in ("harmful", "harmless")):
            if sides[kind, side] < 15:
                yield f"{self.code} {kind} {side}: only {sides[kind, side]} comments"
        for row in rows:
            if set(row.text) & set("[]{}|~") or "//" in row.text:
                yield f"{self.code} t{row.template:03d}: marks are left over in {row.text[:60]!r}"


def write(path: Path, rows: list[tuple[str, Row]]) -> None:
    """Write one part as compressed CSV with an id per comment."""
    table = io.StringIO(newline="")
    out = csv.writer(table, lineterminator="\n")
    out.writerow(["id", "comment_text", "lang", *LABELS, "source", "licence"])
    for i, (code, row) in enumerate(rows):
        name = f"{code}-{row.kind}-{row.side}-t{row.template:03d}-{i}"
        out.writerow([name, row.text, code, *(row.labels[k] for k in LABELS), "templates", "CC0-1.0"])
    path.write_bytes(gzip.compress(table.getvalue().encode(), mtime=0))


def main() -> int:
    """Write both parts, or only check the templates or show their comments; list counts and faults."""
    parser = argparse.ArgumentParser(description=str(__doc__).partition("\n")[0])
    parser.add_argument("--check", action="store_true", help="write nothing")
    parser.add_argument(
        "--show", nargs=2, metavar=("LANGUAGE", "KIND"), help="print comments instead of writing files"
    )
    parser.add_argument("--out", type=Path, default=HERE, help="the folder to write to")
    arguments = parser.parse_args()
    everything, seen, faults = [], set[str](), 0
    for language in [Language(path) for path in sorted(HERE.glob("templates/*.toml"))]:
        rows = language.rows(seen)
        everything += [(language.code, row) for row in rows]
        counts = Counter((row.kind, row.side) for row in rows)
        kinds = ", ".join(f"{k} {counts[k, 'harmful']}+{counts[k, 'harmless']}" for k in (*KINDS, "long"))
        print(f"{language.code}: {len(rows)} comments (harmful+harmless: {kinds})")
        for fault in language.faults(rows):
            faults += 1
            print(f"  {fault}")
        for row in rows if arguments.show and arguments.show[0] == language.code else []:
            if arguments.show[1] in {row.kind, "all"}:
                print(f"  {row.side:8} t{row.template:03d} {''.join(row.labels.values())} {row.text}")
    print(f"all: {len(everything)} comments, {faults} faults")
    if not arguments.check and not arguments.show:
        for name, validates in (("train", False), ("validation", True)):
            part = [(code, row) for code, row in everything if row.validates == validates]
            write(arguments.out / f"{name}.csv.gz", part)
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
