/** A table of text, in columns that are as wide as what stands in them. */

/** A cell, and how it is shown on a terminal: `paint` adds what takes no room. */
export interface Cell {
  text: string;
  paint?: (text: string) => string;
}

/**
 * The lines of a table, the header's first.
 * @param rows cells in the order of the header's
 * @param width columns of the terminal, where longer lines are cut
 */
export function tableLines(
  header: readonly string[],
  rows: readonly (readonly (Cell | string)[])[],
  width = Infinity,
): string[] {
  const cells = [header, ...rows].map((row) => row.map(cellOf));
  const widths = header.map((_, at) =>
    cells.reduce((most, row) => Math.max(most, row[at]?.text.length ?? 0), 0)
  );
  return cells.map((row) => lineOf(row, widths, width));
}

function cellOf(cell: Cell | string): Cell {
  return typeof cell === "string" ? { text: cell } : cell;
}

/** What is padded is not painted: a colour may be that of the background. */
function lineOf(row: readonly Cell[], widths: readonly number[], width: number): string {
  let line = "";
  let room = width;
  row.forEach(({ text, paint = String }, at) => {
    const isLast = at === row.length - 1;
    const padded = isLast ? text : text.padEnd((widths[at] ?? 0) + 2);
    const shown = padded.length <= room ? padded : cut(padded, room);
    room -= shown.length;
    const end = shown.trimEnd();
    line += end === "" ? shown : paint(end) + shown.slice(end.length);
  });
  return line.trimEnd();
}

function cut(text: string, room: number): string {
  return text.trimEnd().length <= room
    ? text.slice(0, room)
    : `${text.slice(0, room - 1)}…`.slice(0, room);
}
