/** The violation that the boundary tests must catch: a control plane that can read what customers submit. */
import { children } from "@biplane/data-wire";

export const leaked = children.ChildrenService;
