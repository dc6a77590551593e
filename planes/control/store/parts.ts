/** A statement takes at most 65,535 parameters: rows go in parts that stay well below it, whatever their width. */
const rowsPerStatement = 500;

export function* parts<T>(rows: readonly T[]): Generator<readonly T[]> {
  for (let start = 0; start < rows.length; start += rowsPerStatement) {
    yield rows.slice(start, start + rowsPerStatement);
  }
}
