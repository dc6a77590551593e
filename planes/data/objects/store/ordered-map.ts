import BTreeModule from "sorted-btree";

type BTreeClass = typeof BTreeModule;

/**
 * A map in the order of its keys. The package is CommonJS: Node gives its class one level deeper than bundlers and test
 * runners may, so both places are looked at.
 */
export const OrderedMap: BTreeClass =
  (BTreeModule as unknown as { default?: BTreeClass }).default ?? BTreeModule;
