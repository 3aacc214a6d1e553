/*
 * SPDX-FileCopyrightText: 2026 the hiperiso authors
 *
 * SPDX-License-Identifier: MIT
 *
 * payload-import: unpacks a payload disk ("LBPAYLD1") into a folder.
 *
 *     payload-import [--once MARKER] DIR [DEVICE...]
 *
 * Takes the first DEVICE whose bytes start with the magic, says which, and
 * writes its files into DIR.  Without a DEVICE it tries the disks that a small
 * or a large kernel may have, and makes the nodes in /dev that are missing.
 * With --once it does nothing when MARKER exists, and makes MARKER after the
 * last file.
 *
 * Each file is written under one temporary name and renamed when it is whole,
 * so a file under its own name is complete.  After a failure nothing is marked,
 * and a second run begins again.
 *
 * The payload, all numbers little-endian, N = 4 or 8 bytes:
 *
 *     8 bytes   "LBPAYLD1"
 *     N         number of files, at least 1
 *     then for each file:
 *     N         bytes of the name, at least 1
 *     N         bytes of the file
 *               the name, without an end mark
 *               the file
 *
 * What follows the last file is padding and is not looked at.  N is 8 exactly
 * when bytes 12 to 15 are zero: with N = 4 they are the length of the first
 * name, with N = 8 the upper half of a number of files below 2^32.
 *
 * Exit status, and one line on stderr for each that is not 0:
 *
 *      0  all files are in place, or MARKER says that they were
 *      1  wrong usage
 *      2  no device starts with the magic
 *      3  the device gave a read error
 *      4  the device ends before the payload does
 *      5  the payload holds no files
 *      6  a name is empty or longer than 250 bytes: the payload is damaged
 *      7  a name is not allowed: . .. our temporary name, or one that holds
 *         a slash, a backslash or a control character
 *      8  two neighbours have the same name
 *      9  a file is 4 GiB or larger
 *     10  a file cannot be made in DIR
 *     11  a file cannot be written: the disk is full, or broken
 *     12  a file that is whole cannot be given its name
 *     13  MARKER cannot be written
 *
 * It is built by an early tcc against the Mes C library, in a world without
 * much else: C89, no long long, no floating point, no seeking, no allocation,
 * nothing of stdio.  Every number is an unsigned int of 32 bits.
 */

/* glibc declares mknod in strict C89 only when asked to. */
#define _XOPEN_SOURCE 500

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <unistd.h>

/* The headers of the Mes C library declare this nowhere. */
int rename(const char *from, const char *to);

#define DONE 0
#define WRONG_USAGE 1
#define NO_PAYLOAD 2
#define READ_ERROR 3
#define ENDS_EARLY 4
#define NO_FILES 5
#define BAD_NAME_LENGTH 6
#define BAD_NAME 7
#define SAME_NAME 8
#define FILE_TOO_LARGE 9
#define CANNOT_MAKE 10
#define CANNOT_WRITE 11
#define CANNOT_NAME 12
#define CANNOT_MARK 13

typedef unsigned int u32;

/* Does not compile where an unsigned int has another size. */
typedef char u32_has_32_bits[(sizeof(u32) == 4 && (u32) -1 == 0xffffffffu) ? 1 : -1];

#define MAGIC "LBPAYLD1"
#define MAGIC_BYTES 8
#define NAME_BYTES_MAX 250
#define PATH_BYTES_MAX 1023

/*
 * One for all files, and refused as a name in the payload.  With "NAME.part" the
 * unfinished "a" would overwrite an "a.part" of the same payload.
 */
#define TEMPORARY_NAME ".payload-import.part"

/*
 * The device is read in whole blocks of this size, in order.  The Mes C library
 * hands reads of more than 128 bytes to the kernel as they are; smaller ones
 * pass through a buffer of its own, in which a read error can get lost.
 */
#define BLOCK_BYTES 16384

static unsigned char block[BLOCK_BYTES];
static u32 block_length;	/* bytes that the block holds */
static u32 block_used;		/* of these, bytes already taken */
static u32 position_low;	/* bytes taken since the device's start */
static u32 position_high;
static int device = -1;		/* its file descriptor */
static const char *device_name;

static int wide;		/* N is 8 */
static u32 files;		/* number of files in the payload */
static u32 file_number;		/* the one in hand, from 1; 0: none yet */
static unsigned char name[NAME_BYTES_MAX + 1];
static u32 name_length;		/* 0: not read yet */
static unsigned char last_name[NAME_BYTES_MAX + 1];
static u32 last_name_length;

static const char *folder;
static char file_path[PATH_BYTES_MAX + 1 + NAME_BYTES_MAX + 1];
static char temporary_path[PATH_BYTES_MAX + 1 + NAME_BYTES_MAX + 1];

/* ---- Output: lines are collected here and go out in as few writes as can be. */

static char line[512];
static u32 line_length;
static int line_to;		/* 1 or 2, a file descriptor */

/* 0 when all bytes are written.  One write may take fewer than it was given. */
static int write_all(int to, const void *bytes, u32 length)
{
	const char *next;
	long count;

	next = bytes;
	while (length > 0) {
		count = write(to, next, length);
		/* 0 means that nothing fits, now or later. */
		if (count <= 0 || count > (long) length)
			return -1;
		next = next + count;
		length = length - (u32) count;
	}
	return 0;
}

static void put_char(char c)
{
	if (line_length == sizeof(line)) {
		/* A console that takes no text is no reason to stop. */
		write_all(line_to, line, line_length);
		line_length = 0;
	}
	line[line_length] = c;
	line_length = line_length + 1;
}

static void put(const char *text)
{
	while (*text != 0) {
		put_char(*text);
		text = text + 1;
	}
}

static void put_number(u32 number)
{
	char digits[10];
	int count;

	count = 0;
	do {
		digits[count] = (char) ('0' + number % 10);
		number = number / 10;
		count = count + 1;
	} while (number != 0);
	while (count > 0) {
		count = count - 1;
		put_char(digits[count]);
	}
}

static void put_hex(u32 number, int digits)
{
	while (digits > 0) {
		digits = digits - 1;
		put_char("0123456789abcdef"[(number >> (digits * 4)) & 15]);
	}
}

/* Text from a disk: what could steer a terminal is shown as \xNN. */
static void put_name(const unsigned char *bytes, u32 length)
{
	u32 i;

	put_char('"');
	for (i = 0; i < length; i = i + 1) {
		if (bytes[i] >= ' ' && bytes[i] <= '~' && bytes[i] != '"' && bytes[i] != '\\') {
			put_char((char) bytes[i]);
		} else {
			put("\\x");
			put_hex(bytes[i], 2);
		}
	}
	put_char('"');
}

static void begin_line(int to)
{
	line_to = to;
	line_length = 0;
	put("payload-import: ");
}

static void end_line(void)
{
	put_char('\n');
	write_all(line_to, line, line_length);
	line_length = 0;
}

/* Says on stderr what failed, and where in the payload; gives back `status`. */
static int fail(int status, const char *what, const char *path)
{
	begin_line(2);
	put("FAILED: ");
	if (device >= 0) {
		put(device_name);
		put(": byte 0x");
		put_hex(position_high, 8);
		put_hex(position_low, 8);
		put(": ");
	}
	if (file_number != 0) {
		put("file ");
		put_number(file_number);
		put(" of ");
		put_number(files);
		if (name_length != 0) {
			put_char(' ');
			put_name(name, name_length);
		}
		put(": ");
	}
	put(what);
	if (path != 0) {
		put_char(' ');
		put(path);
	}
	put(" (status ");
	put_number((u32) status);
	put_char(')');
	end_line();
	return status;
}

/* ---- Text. */

static int same(const char *a, const char *b)
{
	while (*a != 0 && *a == *b) {
		a = a + 1;
		b = b + 1;
	}
	return *a == *b;
}

static int same_bytes(const unsigned char *a, const unsigned char *b, u32 length)
{
	u32 i;

	for (i = 0; i < length; i = i + 1) {
		if (a[i] != b[i])
			return 0;
	}
	return 1;
}

static u32 text_length(const char *text)
{
	u32 length;

	length = 0;
	while (text[length] != 0)
		length = length + 1;
	return length;
}

/* `front`/`last` into `path`, which has room for the longest of both. */
static void join(char *path, const char *front, const char *last, u32 length)
{
	u32 i;

	while (*front != 0) {
		*path = *front;
		path = path + 1;
		front = front + 1;
	}
	*path = '/';
	path = path + 1;
	for (i = 0; i < length; i = i + 1)
		path[i] = last[i];
	path[length] = 0;
}

/* ---- Reading the device. */

static void close_device(void)
{
	if (device >= 0)
		close(device);
	device = -1;
}

/* Afterwards the block holds at least one byte that is not taken yet. */
static int fill_block(void)
{
	long count;

	if (block_used < block_length)
		return DONE;
	count = read(device, block, BLOCK_BYTES);
	if (count < 0 || count > BLOCK_BYTES)
		return READ_ERROR;
	if (count == 0)
		return ENDS_EARLY;
	block_length = (u32) count;
	block_used = 0;
	return DONE;
}

static void take(u32 length)
{
	block_used = block_used + length;
	position_low = position_low + length;
	if (position_low < length)
		position_high = position_high + 1;
}

/* The next `length` bytes of the device. */
static int read_bytes(unsigned char *to, u32 length)
{
	u32 i;
	int status;

	for (i = 0; i < length; i = i + 1) {
		status = fill_block();
		if (status != DONE)
			return status;
		to[i] = block[block_used];
		take(1);
	}
	return DONE;
}

static u32 number_at(const unsigned char *bytes)
{
	return (u32) bytes[0] | ((u32) bytes[1] << 8) | ((u32) bytes[2] << 16) | ((u32) bytes[3] << 24);
}

/* A number of the payload's width, in two halves. */
static int read_number(u32 *low, u32 *high)
{
	unsigned char bytes[8];
	int status;

	status = read_bytes(bytes, wide ? 8 : 4);
	if (status != DONE)
		return status;
	*low = number_at(bytes);
	*high = wide ? number_at(bytes + 4) : 0;
	return DONE;
}

static int fail_to_read(int status)
{
	if (status == READ_ERROR)
		return fail(status, "the device cannot be read", 0);
	return fail(status, "the device ends before the payload does", 0);
}

/* ---- Finding the device. */

#define IS_PAYLOAD 1
#define IS_OTHER 2		/* it opens, and is something else */
#define IS_ABSENT 3		/* it does not open */

/* When it is the payload, the device stays open, its magic taken. */
static int look_at(const char *path)
{
	unsigned char start[MAGIC_BYTES];
	int status;

	device_name = path;
	block_length = 0;
	block_used = 0;
	position_low = 0;
	position_high = 0;
	device = open(path, O_RDONLY);
	if (device < 0)
		return IS_ABSENT;
	status = read_bytes(start, MAGIC_BYTES);
	if (status == DONE && same_bytes(start, (const unsigned char *) MAGIC, MAGIC_BYTES))
		return IS_PAYLOAD;
	close_device();
	if (status == READ_ERROR) {
		begin_line(1);
		put(path);
		put(": cannot be read, next");
		end_line();
	}
	return IS_OTHER;
}

/*
 * The disks of the small kernel (Fiwix, IDE only), then those of Linux.  The
 * payload is seldom the first disk, for that one boots: it is tried last.
 */
struct disk {
	const char *name;
	u32 major;
	u32 minor;
};

static const struct disk disks[] = {
	{ "hdb", 3, 64 },
	{ "hdc", 22, 0 },
	{ "hdd", 22, 64 },
	{ "hda", 3, 0 },
	{ "sdb", 8, 16 },
	{ "sdc", 8, 32 },
	{ "sdd", 8, 48 },
	{ "sda", 8, 0 }
};

#define DISKS (sizeof(disks) / sizeof(disks[0]))
#define DISK_NAME_BYTES_MAX 31

/* Kept when the disk is the payload: device_name points to it. */
static char disk_path[5 + DISK_NAME_BYTES_MAX + 1];

/* 1 when the disk holds a payload.  Makes its node where none opens. */
static int try_disk(const char *disk, u32 length, u32 major, u32 minor)
{
	u32 number;
	int found;

	join(disk_path, "/dev", disk, length);
	found = look_at(disk_path);
	if (found != IS_ABSENT)
		return found == IS_PAYLOAD;

	/* Linux: the minor's lower 8 bits, the major's 12, the minor's upper 12.  Fiwix: the lower 16 of these. */
	number = (minor & 0xff) | (major << 8) | ((minor & 0xfff00) << 12);
	if (mknod(disk_path, S_IFBLK | 0600, (dev_t) number) != 0)
		return 0;
	found = look_at(disk_path);
	/* A node of ours that leads nowhere would only puzzle people. */
	if (found == IS_ABSENT)
		unlink(disk_path);
	return found == IS_PAYLOAD;
}

static int in_table(const char *disk, u32 length)
{
	u32 i;

	for (i = 0; i < DISKS; i = i + 1) {
		if (text_length(disks[i].name) == length
		    && same_bytes((const unsigned char *) disks[i].name, (const unsigned char *) disk, length))
			return 1;
	}
	return 0;
}

/* Decimal digits at *next, which moves on; more than 1,048,575 is no device's number. */
static int scan_number(const char **next, u32 *number)
{
	const char *at;

	at = *next;
	while (*at == ' ' || *at == '\t')
		at = at + 1;
	if (*at < '0' || *at > '9')
		return 0;
	*number = 0;
	while (*at >= '0' && *at <= '9') {
		if (*number <= 0xfffff)
			*number = *number * 10 + (u32) (*at - '0');
		at = at + 1;
	}
	*next = at;
	return 1;
}

static char list[8192];

/*
 * Disks whose numbers no table knows, as those of virtio, stand in
 * /proc/partitions: "major minor #blocks name" a line.  hd* are left out: the
 * small kernel's list gives every whole disk the minor 0.
 */
static int try_listed_disks(void)
{
	const char *next;
	const char *disk;
	u32 major, minor, blocks, length, list_length;
	long count;
	int from;

	from = open("/proc/partitions", O_RDONLY);
	if (from < 0)
		return 0;
	list_length = 0;
	do {
		count = read(from, list + list_length, sizeof(list) - 1 - list_length);
		if (count > 0)
			list_length = list_length + (u32) count;
	} while (count > 0 && list_length < sizeof(list) - 1);
	close(from);
	list[list_length] = 0;

	next = list;
	while (*next != 0) {
		if (scan_number(&next, &major) && scan_number(&next, &minor) && scan_number(&next, &blocks)) {
			while (*next == ' ' || *next == '\t')
				next = next + 1;
			disk = next;
			length = 0;
			while (*next > ' ' && *next != '/') {
				next = next + 1;
				length = length + 1;
			}
			if (*next == '\n' && length > 0 && length <= DISK_NAME_BYTES_MAX
			    && major <= 0xfff && minor <= 0xfffff
			    && !(disk[0] == 'h' && disk[1] == 'd')
			    && disk[0] != '.' && !in_table(disk, length)
			    && try_disk(disk, length, major, minor))
				return 1;
		}
		while (*next != 0 && *next != '\n')
			next = next + 1;
		if (*next == '\n')
			next = next + 1;
	}
	return 0;
}

static int find_disk(void)
{
	u32 i;

	for (i = 0; i < DISKS; i = i + 1) {
		if (try_disk(disks[i].name, text_length(disks[i].name), disks[i].major, disks[i].minor))
			return 1;
	}
	return try_listed_disks();
}

static int find_named(int count, char **paths)
{
	int i;

	for (i = 0; i < count; i = i + 1) {
		switch (look_at(paths[i])) {
		case IS_PAYLOAD:
			return 1;
		case IS_ABSENT:
			begin_line(1);
			put(paths[i]);
			put(": cannot be opened, next");
			end_line();
			break;
		}
	}
	return 0;
}

/* ---- Importing. */

static u32 first_name_length;	/* of the 32-bit form: read with the head */

static int read_head(void)
{
	unsigned char bytes[4];
	int status;

	status = read_bytes(bytes, 4);
	if (status != DONE)
		return fail_to_read(status);
	files = number_at(bytes);
	if (files == 0)
		return fail(NO_FILES, "the payload holds no files", 0);

	status = read_bytes(bytes, 4);
	if (status != DONE)
		return fail_to_read(status);
	first_name_length = number_at(bytes);
	wide = first_name_length == 0;

	begin_line(1);
	put(device_name);
	put(": a payload of ");
	put_number(files);
	put(files == 1 ? " file, " : " files, ");
	put(wide ? "64-bit form" : "32-bit form");
	end_line();
	return DONE;
}

static int name_is_allowed(void)
{
	u32 i;

	for (i = 0; i < name_length; i = i + 1) {
		if (name[i] < ' ' || name[i] == 127 || name[i] == '/' || name[i] == '\\')
			return 0;
	}
	/* `name` ends with a NUL, and holds no other one. */
	return !same((char *) name, ".") && !same((char *) name, "..") && !same((char *) name, TEMPORARY_NAME);
}

/* Name and size of the next file.  Its name is in `name` afterwards. */
static int read_entry(u32 *size)
{
	u32 length, length_high, size_high, i;
	int status;

	for (i = 0; i < name_length; i = i + 1)
		last_name[i] = name[i];
	last_name_length = name_length;
	name_length = 0;

	length = first_name_length;
	length_high = 0;
	size_high = 0;
	status = DONE;
	if (wide || file_number > 1)
		status = read_number(&length, &length_high);
	if (status == DONE)
		status = read_number(size, &size_high);
	if (status != DONE)
		return fail_to_read(status);

	if (length_high != 0 || length == 0 || length > NAME_BYTES_MAX)
		return fail(BAD_NAME_LENGTH, "its name is empty or too long: the payload is damaged", 0);
	status = read_bytes(name, length);
	if (status != DONE)
		return fail_to_read(status);
	name[length] = 0;
	name_length = length;

	if (!name_is_allowed())
		return fail(BAD_NAME, "this name is not allowed", 0);
	if (name_length == last_name_length && same_bytes(name, last_name, name_length))
		return fail(SAME_NAME, "the file before has the same name", 0);
	if (size_high != 0)
		return fail(FILE_TOO_LARGE, "the file is 4 GiB or larger", 0);
	return DONE;
}

/* The next `size` bytes of the device go to the file `to`. */
static int copy_bytes(int to, u32 size)
{
	u32 length;
	int status;

	while (size > 0) {
		status = fill_block();
		if (status != DONE)
			return fail_to_read(status);
		length = block_length - block_used;
		if (length > size)
			length = size;
		if (write_all(to, block + block_used, length) != 0)
			return fail(CANNOT_WRITE, "cannot write (is the disk full?)", temporary_path);
		take(length);
		size = size - length;
	}
	return DONE;
}

static int import_file(void)
{
	u32 size;
	int status;
	int to;

	status = read_entry(&size);
	if (status != DONE)
		return status;

	to = open(temporary_path, O_WRONLY | O_CREAT | O_TRUNC, 0644);
	if (to < 0)
		return fail(CANNOT_MAKE, "cannot make", temporary_path);
	status = copy_bytes(to, size);
	/* Some file systems say only here that the disk is full. */
	if (close(to) != 0 && status == DONE)
		status = fail(CANNOT_WRITE, "cannot write (is the disk full?)", temporary_path);
	if (status != DONE)
		return status;

	/* Readable for all, whatever the umask is. */
	join(file_path, folder, (char *) name, name_length);
	if (chmod(temporary_path, 0644) != 0 || rename(temporary_path, file_path) != 0)
		return fail(CANNOT_NAME, "cannot give the file its name in", folder);

	begin_line(1);
	put_number(file_number);
	put(" of ");
	put_number(files);
	put_char(' ');
	put_name(name, name_length);
	put(", ");
	put_number(size);
	put(size == 1 ? " byte" : " bytes");
	end_line();
	return DONE;
}

static int import_files(void)
{
	int status;

	status = read_head();
	if (status != DONE)
		return status;

	/* It may exist.  If it cannot be made, neither can the first file. */
	mkdir(folder, 0755);
	join(temporary_path, folder, TEMPORARY_NAME, text_length(TEMPORARY_NAME));
	name_length = 0;
	while (status == DONE && file_number < files) {
		file_number = file_number + 1;
		status = import_file();
	}
	/* What a run leaves that was killed, the next one overwrites. */
	if (status != DONE)
		unlink(temporary_path);
	return status;
}

static int write_marker(const char *marker)
{
	static const char text[] = "The payload was imported.\n";
	int to;
	int failed;

	to = open(marker, O_WRONLY | O_CREAT | O_TRUNC, 0644);
	if (to < 0)
		return fail(CANNOT_MARK, "cannot make", marker);
	failed = write_all(to, text, sizeof(text) - 1);
	if (close(to) != 0)
		failed = 1;
	if (failed) {
		unlink(marker);
		return fail(CANNOT_MARK, "cannot write", marker);
	}
	return DONE;
}

static int exists(const char *path)
{
	int from;

	from = open(path, O_RDONLY);
	if (from < 0)
		return 0;
	close(from);
	return 1;
}

int main(int argc, char **argv)
{
	const char *marker;
	int first;
	int found;
	int status;

	file_number = 0;
	marker = 0;
	first = 1;
	if (argc > 2 && same(argv[1], "--once")) {
		marker = argv[2];
		first = 3;
	}
	if (argc <= first || argv[first][0] == '-' || argv[first][0] == 0)
		return fail(WRONG_USAGE, "usage: payload-import [--once MARKER] DIR [DEVICE...]", 0);
	folder = argv[first];
	if (text_length(folder) > PATH_BYTES_MAX)
		return fail(WRONG_USAGE, "the path of DIR is too long", 0);
	if (marker != 0 && exists(marker)) {
		begin_line(1);
		put("nothing to do, the payload was imported before: ");
		put(marker);
		end_line();
		return DONE;
	}

	if (argc > first + 1)
		found = find_named(argc - first - 1, argv + first + 1);
	else
		found = find_disk();
	if (!found)
		return fail(NO_PAYLOAD, "no device starts with the magic " MAGIC, 0);

	status = import_files();
	close_device();
	if (status == DONE && marker != 0)
		status = write_marker(marker);
	if (status == DONE) {
		begin_line(1);
		put("done, files in ");
		put(folder);
		put(": ");
		put_number(files);
		end_line();
	}
	return status;
}
