#!/bin/sh
# build_toolchain.sh SCRATCH SUITE PACKAGES PREFIX PLACE: SCRATCH/root is a Debian with a HIP compiler.
#
# PREFIX is where AMD's packages would have put ROCm: the same folders below it, made of links to Debian's files. PLACE
# is an empty folder. What hipconfig says of itself, and where clang looks for what, is left to them.
set -eu
scratch=$1 suite=$2 packages=$3 prefix=$4 place=$5
root="$scratch/root"

# A testing suite's mirror may be past its date, which matters to nobody here. Signatures count.
# rocBLAS's kernels are half of it all, for other GPUs, and nothing is run.
# Namespaces of its own: when it is killed, nothing of it stays running or mounted.
mkdir "$scratch/tmp"
if ! TMPDIR="$scratch/tmp" unshare --mount --pid --fork --kill-child --mount-proc mmdebstrap --variant=minbase \
	--aptopt='Acquire::Check-Valid-Until "false"' --dpkgopt='path-exclude=/usr/lib/*/rocblas/*/library/*' \
	--dpkgopt='path-exclude=/usr/share/doc/*' --dpkgopt='path-exclude=/usr/share/man/*' \
	--dpkgopt='path-exclude=/usr/share/locale/*' \
	--include="$packages" "$suite" "$root" >"$scratch/log" 2>&1; then
	tail -n 15 "$scratch/log" >&2
	exit 1
fi
rm -r "$scratch/tmp"

# ROCm/TheRock issue 3213: the device libraries are in lib/llvm/amdgcn/bitcode, where clang itself does not look.
bitcode=$(cd "$root" && echo usr/lib/llvm-*/lib/clang/*/amdgcn)
[ -d "$root/$bitcode/bitcode" ] || { echo "one folder of device libraries expected: $bitcode" >&2; exit 1; }
mkdir -p "$root$prefix/lib/llvm" "$root$place"
ln -s "/$bitcode" "$root$prefix/lib/llvm/amdgcn"
for each in bin include share; do ln -s "/usr/$each" "$root$prefix/$each"; done
for each in "$root"/usr/lib/*; do ln -s "/usr/lib/${each##*/}" "$root$prefix/lib/${each##*/}"; done
