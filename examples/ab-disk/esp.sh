#!/bin/sh
# Makes the boot loader segment of a disk with two slots: esp.sh OUT.img [GRUB.CFG]
#
# An EFI system partition with GRUB in it, and grub.cfg in GRUB. The same files and packages give
# the same bytes, whoever runs it and when. Needs grub-efi-amd64-bin, grub-common, dosfstools, mtools.
set -eu
PATH=$PATH:/usr/sbin:/sbin # Where mkfs.vfat is.
out=$1
cfg=${2:-$(dirname "$0")/grub.cfg}
# What grub.cfg uses, what reads the disk, and the screen for the kernel; no other file systems.
modules='normal memdisk tar part_gpt linux boot loadenv regexp test echo sleep minicmd efi_gop'

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
grub-script-check "$cfg"
mkdir -p "$work/boot/grub" "$work/efi"
cp "$cfg" "$work/boot/grub/grub.cfg"
tar --create --file="$work/memdisk.tar" --directory="$work" --format=ustar --sort=name \
	--mtime=@0 --owner=0 --group=0 --numeric-owner --mode=u=rwX,go=rX boot
# shellcheck disable=SC2086 # The modules are words.
grub-mkimage --format=x86_64-efi --output="$work/efi/BOOTX64.EFI" --compression=none \
	--memdisk="$work/memdisk.tar" --prefix='(memdisk)/boot/grub' $modules

# FAT16, in whole MiB, with room for a larger GRUB: a fixed serial number, and one time for all.
SOURCE_DATE_EPOCH=315532800
export SOURCE_DATE_EPOCH
touch --date=@$SOURCE_DATE_EPOCH "$work/efi/BOOTX64.EFI"
rm -f "$out"
mkfs.vfat -C --invariant -F 16 -s 2 -i 6e780002 -n NX-BOOT "$out" 8192 >/dev/null
export MTOOLS_SKIP_CHECK=1 TZ=UTC
mmd -i "$out" ::/EFI ::/EFI/BOOT
mcopy -i "$out" -m "$work/efi/BOOTX64.EFI" ::/EFI/BOOT/BOOTX64.EFI
