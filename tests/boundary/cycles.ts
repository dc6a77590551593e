/** Finds circles in a graph of imports: Tarjan's strongly connected components, each drawn as one circle through it. */

/** One line per component of more than one member (or that names itself), e.g. `a -> b -> a`. */
export function findCycles(graph: ReadonlyMap<string, readonly string[]>): string[] {
  return components(graph)
    .filter((members) => members.length > 1 || graph.get(members[0]!)?.includes(members[0]!))
    .map((members) => draw(graph, new Set(members)))
    .sort();
}

function components(graph: ReadonlyMap<string, readonly string[]>): string[][] {
  const order = new Map<string, number>();
  const low = new Map<string, number>();
  const open: string[] = [];
  const found: string[][] = [];
  const enter = (node: string) => {
    order.set(node, order.size);
    low.set(node, order.get(node)!);
    open.push(node);
    for (const next of graph.get(node) ?? []) {
      if (!graph.has(next)) continue;
      if (!order.has(next)) enter(next);
      // A node that has left the stack belongs to a component that is closed already.
      if (open.includes(next)) low.set(node, Math.min(low.get(node)!, low.get(next)!));
    }
    if (low.get(node) === order.get(node)) found.push(open.splice(open.indexOf(node)));
  };
  for (const node of graph.keys()) if (!order.has(node)) enter(node);
  return found;
}

function draw(graph: ReadonlyMap<string, readonly string[]>, members: ReadonlySet<string>): string {
  const start = [...members].sort()[0]!;
  const previous = new Map<string, string>();
  const queue = [start];
  for (let node = queue.shift(); node !== undefined; node = queue.shift()) {
    for (const next of graph.get(node) ?? []) {
      if (next === start) return `${trail(previous, start, node)} -> ${start}`;
      if (!members.has(next) || previous.has(next)) continue;
      previous.set(next, node);
      queue.push(next);
    }
  }
  return [...members].join(", ");
}

function trail(previous: ReadonlyMap<string, string>, start: string, end: string): string {
  const nodes = [end];
  while (nodes[0] !== start) nodes.unshift(previous.get(nodes[0]!)!);
  return nodes.join(" -> ");
}
