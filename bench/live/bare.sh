#!/bin/bash
# The bare sequence: a minimal Debian live image by the tools themselves, one after the other, with nothing kept and nothing checked.
# Usage: bare.sh FOLDER OVERLAY. Leaves FOLDER/bare.iso. The same packages, compression and boot loaders as spec.yaml.
set -euo pipefail
folder=$1
overlay=$(realpath "$2")
cd "$folder"
export SOURCE_DATE_EPOCH=1767225600 LC_ALL=C.UTF-8 TZ=UTC

# The root file system.
mode=unshare
[ "$(id -u)" = 0 ] && mode=root
mmdebstrap --quiet --mode=$mode --format=tar --variant=minbase \
  --include=systemd-sysv,udev,login,passwd,busybox,zstd,linux-image-amd64 \
  --aptopt='APT::Install-Recommends "false"' --aptopt='Acquire::Languages "none"' \
  bookworm root.tar
tar --append --file root.tar --owner=0 --group=0 --directory "$overlay" .

# What the medium starts with.
mkdir -p iso/boot/grub iso/live iso/EFI/BOOT iso/.disk
tar --extract --file root.tar --to-command='case $TAR_FILENAME in *vmlinuz-*) cat > iso/boot/vmlinuz ;; *) cat > iso/boot/initrd.img ;; esac' \
  --wildcards './boot/vmlinuz-*' './boot/initrd.img-*'
mksquashfs - iso/live/root.squashfs -tar -noappend -comp zstd -Xcompression-level 9 -root-mode 0755 -no-progress -quiet < root.tar

# Boot loaders.
menu='set timeout=1
menuentry bench {
  linux /boot/vmlinuz boot=live console=tty0 console=ttyS0,115200
  initrd /boot/initrd.img
}'
echo "$menu" > iso/boot/grub/grub.cfg
echo bench > iso/.disk/info
echo 'search --set=root --file /.disk/info
configfile /boot/grub/grub.cfg' > early.cfg
modules='part_gpt part_msdos iso9660 fat search normal configfile linux serial terminal test echo all_video'
grub-mkimage -O i386-pc-eltorito -o iso/boot/grub/bios.img -c early.cfg -p /boot/grub $modules biosdisk
grub-mkimage -O x86_64-efi -o iso/EFI/BOOT/BOOTX64.EFI -c early.cfg -p /boot/grub $modules efi_gop
truncate -s 4M esp.img
mkfs.fat -n ESP esp.img > /dev/null
mmd -i esp.img ::EFI ::EFI/BOOT
mcopy -i esp.img iso/EFI/BOOT/BOOTX64.EFI ::EFI/BOOT/

# The medium.
xorriso -as mkisofs -quiet -o bare.iso -V BENCH -iso-level 3 -R -J -joliet-long -r \
  -b boot/grub/bios.img -no-emul-boot -boot-load-size 4 -boot-info-table --grub2-boot-info \
  --grub2-mbr /usr/lib/grub/i386-pc/boot_hybrid.img -partition_offset 16 --mbr-force-bootable \
  -append_partition 2 0xef esp.img -appended_part_as_gpt -eltorito-alt-boot \
  -e --interval:appended_partition_2:all:: -no-emul-boot iso
sync -f bare.iso
