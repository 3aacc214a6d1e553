#!/bin/bash
# The same live image by Debian's live-build, from an empty folder. Usage: live-build.sh FOLDER OVERLAY, as root. Leaves an .iso in FOLDER.
# It brings live-boot (its initramfs knows no other way) and takes its package lists from the release's own servers.
set -euo pipefail
folder=$1
overlay=$(realpath "$2")
cd "$folder"
export SOURCE_DATE_EPOCH=1767225600
mirror=http://deb.debian.org
lb config noauto --mode debian --distribution bookworm --architecture amd64 --archive-areas main \
  --debootstrap-options --variant=minbase --apt-recommends false --apt-indices false --security true --updates true \
  --mirror-chroot-security $mirror/debian-security/ --mirror-binary-security $mirror/debian-security/ \
  --firmware-chroot false --firmware-binary false --memtest none --debian-installer none --linux-packages linux-image \
  --bootloaders grub-pc,grub-efi --binary-images iso-hybrid --chroot-squashfs-compression-type zstd --chroot-squashfs-compression-level 9 \
  --bootappend-live 'boot=live console=tty0 console=ttyS0,115200' --cache false --checksums none --zsync false
printf '%s\n' systemd-sysv udev login passwd busybox zstd live-boot > config/package-lists/bench.list.chroot
mkdir -p config/includes.chroot
cp -r "$overlay/." config/includes.chroot/
lb build
