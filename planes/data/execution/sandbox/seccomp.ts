/**
 * A filter of system calls for sandboxes: no new user namespaces, mounts, keyrings, kernel programs or clocks. They
 * would give a task more of the kernel than its work needs. Format: classic BPF, seccomp(2), struct sock_filter.
 */

/** Numbers of `linux/audit.h` and of each system call, per architecture. */
const architectures = {
  x64: { audit: 0xc000003e, column: 0 },
  arm64: { audit: 0xc00000b7, column: 1 },
} as const;

/** [x64, arm64] */
const refused = {
  mount: [165, 40],
  umount2: [166, 39],
  pivot_root: [155, 41],
  chroot: [161, 51],
  open_tree: [428, 428],
  move_mount: [429, 429],
  fsopen: [430, 430],
  fsconfig: [431, 431],
  fsmount: [432, 432],
  fspick: [433, 433],
  mount_setattr: [442, 442],
  setns: [308, 268],
  bpf: [321, 280],
  perf_event_open: [298, 241],
  userfaultfd: [323, 282],
  add_key: [248, 217],
  request_key: [249, 218],
  keyctl: [250, 219],
  init_module: [175, 105],
  finit_module: [313, 273],
  delete_module: [176, 106],
  kexec_load: [246, 104],
  kexec_file_load: [320, 294],
  open_by_handle_at: [304, 265],
  process_vm_readv: [310, 270],
  process_vm_writev: [311, 271],
  swapon: [167, 224],
  swapoff: [168, 225],
  reboot: [169, 142],
  settimeofday: [164, 170],
  clock_settime: [227, 112],
  acct: [163, 89],
  quotactl: [179, 60],
  syslog: [103, 116],
} as const;

/** As if the kernel had none: programs then take an older way, which can be looked at. */
const absent = {
  // Its flags are behind a pointer, where no filter sees them.
  clone3: [435, 435],
  io_uring_setup: [425, 425],
  io_uring_enter: [426, 426],
  io_uring_register: [427, 427],
} as const;

const withFlags = { clone: [56, 220], unshare: [272, 97] } as const;
const newUserNamespace = 0x10000000;
/** The first number of x32, a second set of calls on x64. */
const x32 = 0x40000000;

const permissionDenied = 1;
const notImplemented = 38;

const offsets = { number: 0, architecture: 4, firstArgument: 16 } as const;
const loadWord = 0x20;
const jumpIfEqual = 0x15;
const jumpIfAtLeast = 0x35;
const jumpIfAnyBit = 0x45;
const give = 0x06;
const allow = 0x7fff0000;
const fail = 0x00050000;

type Instruction = readonly [code: number, ifTrue: number, ifFalse: number, value: number];

/** The program for `bwrap --seccomp`; undefined for an architecture whose numbers are not listed here. */
export function seccompProgram(architecture: string): Buffer | undefined {
  const known = architectures[architecture as keyof typeof architectures];
  if (known === undefined) return undefined;
  const numbers = (table: Readonly<Record<string, readonly [number, number]>>) =>
    Object.values(table).map((row) => row[known.column]);
  return assemble([
    [loadWord, 0, 0, offsets.architecture],
    [jumpIfEqual, 1, 0, known.audit],
    [give, 0, 0, fail | permissionDenied],
    [loadWord, 0, 0, offsets.number],
    [jumpIfAtLeast, 0, 1, x32],
    [give, 0, 0, fail | notImplemented],
    ...numbers(refused).flatMap((number) => failing(number, permissionDenied)),
    ...numbers(absent).flatMap((number) => failing(number, notImplemented)),
    ...numbers(withFlags).flatMap(refuseNewUsers),
    [give, 0, 0, allow],
  ]);
}

function failing(number: number, error: number): Instruction[] {
  return [
    [jumpIfEqual, 0, 1, number],
    [give, 0, 0, fail | error],
  ];
}

/** Looks at the call's flags, its first argument, and decides for good. */
function refuseNewUsers(number: number): Instruction[] {
  return [
    [jumpIfEqual, 0, 4, number],
    [loadWord, 0, 0, offsets.firstArgument],
    [jumpIfAnyBit, 0, 1, newUserNamespace],
    [give, 0, 0, fail | permissionDenied],
    [give, 0, 0, allow],
  ];
}

function assemble(program: readonly Instruction[]): Buffer {
  const bytes = Buffer.alloc(program.length * 8);
  for (const [index, [code, ifTrue, ifFalse, value]] of program.entries()) {
    bytes.writeUInt16LE(code, index * 8);
    bytes.writeUInt8(ifTrue, index * 8 + 2);
    bytes.writeUInt8(ifFalse, index * 8 + 3);
    bytes.writeUInt32LE(value, index * 8 + 4);
  }
  return bytes;
}
