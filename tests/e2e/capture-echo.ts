/** The capture's control: an echo in plain text between the two ends of one connection. Prints its port. */
import { once } from "node:events";
import { type AddressInfo, connect, createServer } from "node:net";

const server = createServer((socket) => socket.pipe(socket));
server.listen(0, "127.0.0.1");
await once(server, "listening");
const { port } = server.address() as AddressInfo;
const client = connect(port, "127.0.0.1");
client.end("patient 4711: all of this can be read on the way\n");
for await (const chunk of client) process.stderr.write(chunk);
server.close();
console.log(JSON.stringify({ port }));
