// Plain text as nodes: paragraphs, line breaks, web addresses as links. Nothing else, and never
// as HTML: whatever a comment says stays text. The twin of templatetags/comment_text.py.

const PARAGRAPH_END = /\n[ \t]*\n[ \t\n]*/;
const ADDRESS = /https?:\/\/[^\s<>"]*[^\s<>".,:;!?'()[\]]/gi;

/** Returns the text as a document fragment. */
export function commentText(text) {
  const fragment = document.createDocumentFragment();
  for (const part of text.split(PARAGRAPH_END)) {
    if (!part) continue;
    const paragraph = document.createElement("p");
    part.split("\n").forEach((line, number) => {
      if (number) paragraph.append(document.createElement("br"));
      appendLine(paragraph, line);
    });
    fragment.append(paragraph);
  }
  return fragment;
}

/** Returns the text that a comment's nodes were made from. */
export function plainText(node) {
  const line = (child) => (child.nodeName === "BR" ? "\n" : child.textContent);
  return [...node.children].map((part) => [...part.childNodes].map(line).join("")).join("\n\n");
}

/** Returns the letter that stands for a person. */
export function initial(name) {
  for (const letter of name) if (/[\p{L}\p{N}]/u.test(letter)) return letter.toUpperCase();
  return "?";
}

/** Returns a person's colour as degrees on the colour circle. */
export function hue(name) {
  let degrees = 0;
  for (const letter of name) degrees = (degrees * 31 + letter.codePointAt(0)) % 360;
  return degrees;
}

function appendLine(paragraph, line) {
  let end = 0;
  for (const match of line.matchAll(ADDRESS)) {
    const link = document.createElement("a");
    link.href = match[0];
    link.rel = "nofollow noopener ugc";
    link.textContent = match[0];
    paragraph.append(line.slice(end, match.index), link);
    end = match.index + match[0].length;
  }
  paragraph.append(line.slice(end));
}
