/** The ordered map that the catalog stands on, whichever way its CommonJS package is loaded. */
import BTreeModule from "sorted-btree";

type BTreeClass = typeof BTreeModule;

/** Node gives the class of such a package one level deeper than bundlers and test runners may: both are looked at. */
export const OrderedMap: BTreeClass =
  (BTreeModule as unknown as { default?: BTreeClass }).default ?? BTreeModule;
