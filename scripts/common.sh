# Sourced by the scripts beside it: where the project is, and how they speak.
# Everything said here goes to stderr; stdout belongs to the programs that are started.

ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
cd "$ROOT" || exit 1

if [ -t 2 ]; then BOLD=$'\e[1m' RED=$'\e[31m' PLAIN=$'\e[0m'; else BOLD='' RED='' PLAIN=''; fi

say() { printf '%s== %s%s\n' "$BOLD" "$*" "$PLAIN" >&2; }
die() { printf '%s%s: %s%s\n' "$RED" "${0##*/}" "$*" "$PLAIN" >&2; exit 1; }
misuse() { printf '%s: %s (see --help)\n' "${0##*/}" "$*" >&2; exit 2; }

# The comment at the top of the script that called, without its marks.
usage() { sed -n '2,/^$/s/^# \{0,1\}//p' "$0"; }

# Compilers at once: one a core, and not more than one for each GiB of memory.
jobs_that_fit() {
  local cores memory
  cores=$(nproc)
  memory=$(awk '/^MemTotal:/ {print int($2 / 1048576)}' /proc/meminfo)
  [ "$memory" -ge 1 ] || memory=1
  echo $((cores < memory ? cores : memory))
}

# The words to put before a sanitized program, one a line.  The sanitizers of g++ 12 and clang 14 fail at
# random where the kernel randomises more than 28 bits of an address; such programs run without ASLR.
without_aslr() {
  local bits
  bits=$(cat /proc/sys/vm/mmap_rnd_bits 2>/dev/null || echo 28)
  [ "$bits" -gt 28 ] || return 0
  if setarch "$(uname -m)" -R true 2>/dev/null; then
    printf '%s\n' setarch "$(uname -m)" -R
  else
    say "vm.mmap_rnd_bits is $bits and ASLR may not be switched off here: sanitized programs may fail" \
      "with 'unexpected memory mapping' (sysctl vm.mmap_rnd_bits=28 helps)"
  fi
}
