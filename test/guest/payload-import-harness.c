/*
 * The importer against a world in memory: its own source is included below with
 * every system call replaced. Two uses:
 *
 *     harness fuzz SEED COUNT     COUNT random payloads, whole and damaged, on
 *                                 devices that read short, fail and end early,
 *                                 into folders that fill up; each outcome is
 *                                 compared with what a second reader expects
 *     harness probe DISKS NODES PARTITIONS
 *                                 which devices are opened and made, in order
 */
#include <fcntl.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <unistd.h>

static int world_open(const char *path, int flags, ...);
static ssize_t world_read(int fd, void *to, size_t length);
static ssize_t world_write(int fd, const void *from, size_t length);
static int world_close(int fd);
static int world_rename(const char *from, const char *to);
static int world_unlink(const char *path);
static int world_mkdir(const char *path, mode_t mode);
static int world_mknod(const char *path, mode_t mode, dev_t number);
static int world_chmod(const char *path, mode_t mode);

#define main importer_main
#define open world_open
#define read world_read
#define write world_write
#define close world_close
#define rename world_rename
#define unlink world_unlink
#define mkdir world_mkdir
#define mknod world_mknod
#define chmod world_chmod
#include "../../guest/payload-import/payload-import.c"
#undef main
#undef open
#undef read
#undef write
#undef close
#undef rename
#undef unlink
#undef mkdir
#undef mknod
#undef chmod

static void die(const char *why);

/* ---- Chance: the same seed gives the same run. */

static uint64_t state;

static uint32_t chance(uint32_t below)
{
	state ^= state << 13;
	state ^= state >> 7;
	state ^= state << 17;
	return (uint32_t) (state >> 20) % below;
}

/* ---- The world. */

enum { FILES_MAX = 64, FILE_BYTES_MAX = 70000, FD_BASE = 10, FDS = 8 };

struct file {
	char path[1500];
	unsigned char *bytes;
	size_t length;
	int there;
};

static struct file world[FILES_MAX];

static struct {
	int used;
	int writing;
	int log;
	struct file *file;
	const unsigned char *bytes;	/* of what is read */
	size_t length;
	size_t at;
	int device;
} fds[FDS];

static const unsigned char *disk_bytes;
static size_t disk_length;

/* What goes wrong, and where; a number that is never reached: nothing does. */
#define NEVER ((size_t) -1)
static size_t read_fails_at, space_left, open_fails_at, close_fails_at, rename_fails_at, chmod_fails_at, marker_fails;
static int short_reads, short_writes, silent_full, marker_there;
static size_t opens, closes, renames, chmods;
static char errors[4096], output[65536];
static size_t errors_length, output_length;
static int stray;		/* something was touched outside of the folder */

static int probing;
static char probed[1 << 18];

static struct file *find(const char *path)
{
	int i;

	for (i = 0; i < FILES_MAX; i++)
		if (world[i].there && strcmp(world[i].path, path) == 0)
			return &world[i];
	return NULL;
}

static struct file *make(const char *path)
{
	int i;
	struct file *file = find(path);

	for (i = 0; file == NULL && i < FILES_MAX; i++)
		if (!world[i].there)
			file = &world[i];
	if (file == NULL)
		die("the world has too few files");
	if (file->bytes == NULL)
		file->bytes = malloc(FILE_BYTES_MAX);
	strcpy(file->path, path);
	file->length = 0;
	file->there = 1;
	return file;
}

static int in_folder(const char *path)
{
	return strncmp(path, "/to/", 4) == 0 && strchr(path + 4, '/') == NULL && path[4] != 0
	       && strcmp(path + 4, ".") != 0 && strcmp(path + 4, "..") != 0;
}

static int new_fd(void)
{
	int i;

	for (i = 0; i < FDS; i++)
		if (!fds[i].used) {
			memset(&fds[i], 0, sizeof(fds[i]));
			fds[i].used = 1;
			return FD_BASE + i;
		}
	die("file descriptors leak");
	return -1;
}

static int probe_open(const char *path);

static int world_open(const char *path, int flags, ...)
{
	int fd;

	if (probing)
		return probe_open(path);
	if (flags == O_RDONLY) {
		if (strcmp(path, "/marker") == 0 && !marker_there)
			return -1;
		if (strcmp(path, "/marker") != 0 && strcmp(path, "/disk") != 0)
			return -1;
		fd = new_fd();
		fds[fd - FD_BASE].bytes = disk_bytes;
		fds[fd - FD_BASE].length = disk_length;
		fds[fd - FD_BASE].device = 1;
		return fd;
	}
	if (flags != (O_WRONLY | O_CREAT | O_TRUNC))
		die("a file is opened in an odd way");
	if (strcmp(path, "/marker") == 0 && marker_fails == 1)
		return -1;
	if (strcmp(path, "/marker") != 0 && !in_folder(path))
		stray = 1;
	if (opens++ == open_fails_at)
		return -1;
	fd = new_fd();
	fds[fd - FD_BASE].writing = 1;
	fds[fd - FD_BASE].file = make(path);
	return fd;
}

static ssize_t world_read(int fd, void *to, size_t length)
{
	size_t count;

	if (fd < FD_BASE || !fds[fd - FD_BASE].used || fds[fd - FD_BASE].writing)
		die("a read from nowhere");
	if (length <= 128)
		die("the Mes C library would buffer this read");
	count = fds[fd - FD_BASE].length - fds[fd - FD_BASE].at;
	if (fds[fd - FD_BASE].device && fds[fd - FD_BASE].at >= read_fails_at)
		return -1;
	if (fds[fd - FD_BASE].device && count > read_fails_at - fds[fd - FD_BASE].at)
		count = read_fails_at - fds[fd - FD_BASE].at;
	if (count > length)
		count = length;
	if (short_reads && count > 1)
		count = 1 + chance((uint32_t) (count < 40 ? count : 40));
	/* A device of no bytes may have no address. */
	if (count > 0)
		memcpy(to, fds[fd - FD_BASE].bytes + fds[fd - FD_BASE].at, count);
	fds[fd - FD_BASE].at += count;
	return (ssize_t) count;
}

static ssize_t world_write(int fd, const void *from, size_t length)
{
	struct file *file;

	if (fd == 1 || fd == 2) {
		char *text = fd == 1 ? output : errors;
		size_t *used = fd == 1 ? &output_length : &errors_length;
		size_t room = (fd == 1 ? sizeof(output) : sizeof(errors)) - 1 - *used;

		if (short_writes && length > 1)
			length = 1 + chance((uint32_t) length);
		memcpy(text + *used, from, length < room ? length : room);
		*used += length < room ? length : room;
		text[*used] = 0;
		return (ssize_t) length;
	}
	if (fd < FD_BASE || !fds[fd - FD_BASE].used || !fds[fd - FD_BASE].writing)
		die("a write to nowhere");
	file = fds[fd - FD_BASE].file;
	if (strcmp(file->path, "/marker") == 0 && marker_fails == 2)
		return -1;
	if (length == 0)
		return 0;
	if (short_writes && length > 1)
		length = 1 + chance((uint32_t) length);
	if (length > space_left)
		length = space_left;
	if (length == 0)
		return silent_full ? 0 : -1;
	space_left -= space_left == NEVER ? 0 : length;
	if (file->length + length > FILE_BYTES_MAX)
		die("a file grew beyond the payload");
	memcpy(file->bytes + file->length, from, length);
	file->length += length;
	return (ssize_t) length;
}

static int world_close(int fd)
{
	int writing;

	if (fd < FD_BASE || !fds[fd - FD_BASE].used)
		die("a close of nothing");
	writing = fds[fd - FD_BASE].writing;
	fds[fd - FD_BASE].used = 0;
	if (writing && closes++ == close_fails_at)
		return -1;
	return 0;
}

static int world_rename(const char *from, const char *to)
{
	struct file *file = find(from);

	if (!in_folder(from) || !in_folder(to))
		stray = 1;
	if (renames++ == rename_fails_at || file == NULL)
		return -1;
	if (find(to) != NULL)
		find(to)->there = 0;
	strcpy(file->path, to);
	return 0;
}

static int world_unlink(const char *path)
{
	struct file *file = find(path);

	if (probing) {
		sprintf(probed + strlen(probed), "unlink %s\n", path);
		return 0;
	}
	if (strcmp(path, "/marker") != 0 && !in_folder(path))
		stray = 1;
	if (file == NULL)
		return -1;
	file->there = 0;
	return 0;
}

static int world_mkdir(const char *path, mode_t mode)
{
	if (strcmp(path, "/to") != 0 || mode != 0755)
		stray = 1;
	return chance(2) ? 0 : -1;
}

static int world_chmod(const char *path, mode_t mode)
{
	if (!in_folder(path) || mode != 0644)
		stray = 1;
	return chmods++ == chmod_fails_at ? -1 : 0;
}

static void reset_world(void)
{
	int i;

	for (i = 0; i < FILES_MAX; i++)
		world[i].there = 0;
	memset(fds, 0, sizeof(fds));
	read_fails_at = space_left = open_fails_at = close_fails_at = rename_fails_at = chmod_fails_at = NEVER;
	marker_fails = 0;
	short_reads = short_writes = silent_full = marker_there = stray = 0;
	opens = closes = renames = chmods = 0;
	errors_length = output_length = 0;
	errors[0] = output[0] = 0;
}

/* ---- A second reader of payloads, in 64-bit numbers, over bytes in memory. */

struct expected {
	int status;
	uint64_t whole;		/* files that come before what is wrong */
	struct {
		char name[NAME_BYTES_MAX + 1];
		const unsigned char *bytes;
		size_t length;
	} file[FILES_MAX];
};

static uint64_t field(const unsigned char *at, int bytes)
{
	uint64_t value = 0;

	while (bytes-- > 0)
		value = value << 8 | at[bytes];
	return value;
}

static int bad_name(const unsigned char *bytes, uint64_t length)
{
	static const char *const refused[] = { ".", "..", ".payload-import.part" };
	uint64_t i;

	for (i = 0; i < length; i++)
		if (bytes[i] < 32 || bytes[i] == 127 || bytes[i] == '/' || bytes[i] == '\\')
			return 1;
	for (i = 0; i < 3; i++)
		if (strlen(refused[i]) == length && memcmp(bytes, refused[i], length) == 0)
			return 1;
	return 0;
}

/* `ends`: status where the readable bytes are used up. */
static void expect(struct expected *e, const unsigned char *bytes, size_t length, int ends)
{
	int n;
	uint64_t at = 8, files_left, name_bytes, size;
	const unsigned char *before = NULL;
	uint64_t before_bytes = 0;

	e->whole = 0;
	e->status = NO_PAYLOAD;
	if (length < 8 || memcmp(bytes, "LBPAYLD1", 8) != 0)
		return;
	e->status = ends;
	if (length < 12)
		return;
	if (field(bytes + 8, 4) == 0) {
		e->status = NO_FILES;
		return;
	}
	if (length < 16)
		return;
	n = field(bytes + 12, 4) == 0 ? 8 : 4;
	files_left = field(bytes + 8, n);
	at = 8 + n;
	for (; files_left > 0; files_left--) {
		if (length - at < 2 * (unsigned) n)
			return;
		name_bytes = field(bytes + at, n);
		size = field(bytes + at + n, n);
		at += 2 * n;
		if (name_bytes == 0 || name_bytes > NAME_BYTES_MAX) {
			e->status = BAD_NAME_LENGTH;
			return;
		}
		if (length - at < name_bytes)
			return;
		if (bad_name(bytes + at, name_bytes)) {
			e->status = BAD_NAME;
			return;
		}
		if (before != NULL && before_bytes == name_bytes && memcmp(before, bytes + at, name_bytes) == 0) {
			e->status = SAME_NAME;
			return;
		}
		before = bytes + at;
		before_bytes = name_bytes;
		at += name_bytes;
		if (size > 0xffffffffu) {
			e->status = FILE_TOO_LARGE;
			return;
		}
		if (length - at < size)
			return;
		if (e->whole == FILES_MAX)
			die("the payload has too many files for the test");
		memcpy(e->file[e->whole].name, before, name_bytes);
		e->file[e->whole].name[name_bytes] = 0;
		e->file[e->whole].bytes = bytes + at;
		e->file[e->whole].length = size;
		e->whole++;
		at += size;
	}
	e->status = DONE;
}

/* ---- Random payloads. */

static unsigned char payload[80000];
static size_t payload_length;
static size_t fields[80];	/* where a number of `n` bytes stands */
static size_t field_count;

static void add(const void *bytes, size_t length)
{
	memcpy(payload + payload_length, bytes, length);
	payload_length += length;
}

static void add_number(uint64_t value, int n)
{
	fields[field_count++] = payload_length;
	while (n-- > 0) {
		payload[payload_length++] = (unsigned char) value;
		value >>= 8;
	}
}

static size_t random_name(char *to)
{
	static const char *const odd[] = {
		".", "..", "a/b", "../a", "a\\b", "/", "a\nb", "\033[2J", ".payload-import.part", "...", ".a", " ", "\303\251", "\377"
	};
	size_t length, i;

	if (chance(40) == 0) {
		strcpy(to, odd[chance(sizeof(odd) / sizeof(odd[0]))]);
		return strlen(to);
	}
	length = chance(30) == 0 ? 248 + chance(4) : 1 + chance(6);
	for (i = 0; i < length; i++)
		to[i] = "abc.-"[chance(5)];
	return length;
}

static void random_payload(void)
{
	int n = chance(2) ? 4 : 8;
	uint32_t count = chance(30) == 0 ? 0 : 1 + chance(5);
	uint32_t i, j;
	char text[300];
	size_t length;

	payload_length = field_count = 0;
	add("LBPAYLD1", 8);
	add_number(count, n);
	for (i = 0; i < count; i++) {
		size_t size = chance(50) == 0 ? chance(9000) : chance(20);

		length = random_name(text);
		add_number(length, n);
		add_number(size, n);
		add(text, length);
		for (j = 0; j < size; j++)
			payload[payload_length++] = (unsigned char) chance(256);
	}
	if (chance(2))
		for (j = chance(1024); j > 0; j--)
			payload[payload_length++] = 0;

	/* Lies, more often in numbers than elsewhere. */
	if (chance(3) == 0) {
		size_t at = fields[chance((uint32_t) field_count)] + chance((uint32_t) n);
		static const unsigned char likely[] = { 0, 1, 127, 128, 255 };

		if (at < payload_length)
			payload[at] = chance(2) ? likely[chance(5)] : (unsigned char) chance(256);
	}
	if (chance(6) == 0)
		payload[chance((uint32_t) payload_length)] ^= (unsigned char) (1 << chance(8));
	if (chance(6) == 0)
		payload_length = chance((uint32_t) payload_length + 1);
}

/* ---- One run. */

static uint64_t run_number;

static void die(const char *why)
{
	size_t i;

	fprintf(stdout, "run %llu: %s\nstderr: %s\nstdout: %s\npayload (%lu bytes):", (unsigned long long) run_number, why,
		errors, output, (unsigned long) payload_length);
	for (i = 0; i < payload_length && i < 400; i++)
		fprintf(stdout, " %02x", payload[i]);
	fprintf(stdout, "\n");
	fflush(stdout);
	abort();
}

static struct expected e;

static int one_run(void)
{
	static char program[] = "payload-import", once[] = "--once", marker[] = "/marker", to[] = "/to", gone[] = "/gone", disk[] = "/disk";
	static char *words[] = { program, once, marker, to, gone, disk, NULL };
	int status, trouble, i;
	size_t needed = 0, k, j;
	unsigned char *exact;
	int ends = ENDS_EARLY;

	reset_world();
	/* Its end is the end of a block of memory: a read beyond it is seen. */
	exact = malloc(payload_length + (payload_length == 0));
	memcpy(exact, payload, payload_length);
	disk_bytes = exact;
	disk_length = payload_length;
	short_reads = chance(3) == 0;
	short_writes = chance(3) == 0;

	/* A file of an earlier run under the temporary name, and one under a name that will come. */
	if (chance(4) == 0)
		make("/to/.payload-import.part")->length = 5;
	if (chance(4) == 0)
		make("/to/a")->length = 7;

	trouble = (int) chance(16);
	if (trouble == 0) {
		read_fails_at = chance((uint32_t) payload_length + 1);
		ends = READ_ERROR;
	}
	expect(&e, payload, read_fails_at < payload_length ? read_fails_at : payload_length, ends);
	/* Whoever cannot read a device's first bytes passes on to the next. */
	for (k = 0; k < e.whole; k++)
		needed += e.file[k].length;
	if (trouble == 1 && needed > 0) {
		space_left = chance((uint32_t) needed);
		silent_full = (int) chance(2);
		needed = space_left;
		for (k = 0; k < e.whole && e.file[k].length <= needed; k++)
			needed -= e.file[k].length;
		e.whole = k;
		e.status = CANNOT_WRITE;
	}
	if (trouble >= 2 && trouble <= 4 && e.whole > 0) {
		k = chance((uint32_t) e.whole);
		if (trouble == 2)
			close_fails_at = k;
		if (trouble == 3)
			rename_fails_at = k;
		if (trouble == 4)
			chmod_fails_at = k;
		e.whole = k;
		e.status = trouble == 2 ? CANNOT_WRITE : CANNOT_NAME;
	}
	if (trouble >= 5 && trouble <= 6 && e.status == DONE) {
		marker_fails = (size_t) trouble - 4;
		e.status = CANNOT_MARK;
	}
	if (trouble == 8 && e.whole > 0) {
		open_fails_at = chance((uint32_t) e.whole);
		e.whole = open_fails_at;
		e.status = CANNOT_MAKE;
	}
	if (trouble == 7) {
		marker_there = 1;
		e.status = DONE;
		e.whole = 0;
	}

	status = importer_main(6, words);

	if (status != e.status) {
		printf("expected status %d, found %d\n", e.status, status);
		die("another status than expected");
	}
	if (stray)
		die("something outside of the folder was touched");
	for (i = 0; i < FDS; i++)
		if (fds[i].used)
			die("a file descriptor stays open");
	if (find("/to/.payload-import.part") != NULL && status != NO_PAYLOAD && status != NO_FILES && !marker_there
	    && !((status == ENDS_EARLY || status == READ_ERROR) && e.whole == 0))
		die("a temporary file stays");
	for (k = 0; k < e.whole; k++) {
		char path[300];
		struct file *file;

		/* Of equal names that are no neighbours the last one stands. */
		for (j = k + 1; j < e.whole && strcmp(e.file[j].name, e.file[k].name) != 0; j++)
			;
		if (j < e.whole)
			continue;
		sprintf(path, "/to/%s", e.file[k].name);
		file = find(path);
		if (file == NULL || file->length != e.file[k].length || memcmp(file->bytes, e.file[k].bytes, file->length) != 0)
			die("a file is not as it stands in the payload");
	}
	for (i = 0; i < FILES_MAX; i++) {
		if (!world[i].there || strcmp(world[i].path, "/marker") == 0 || strcmp(world[i].path, "/to/.payload-import.part") == 0)
			continue;
		for (k = 0; k < e.whole && strcmp(world[i].path + 4, e.file[k].name) != 0; k++)
			;
		if (k == e.whole && !(strcmp(world[i].path, "/to/a") == 0 && world[i].length == 7))
			die("a file is there that is not in the payload, or not whole");
	}
	if ((find("/marker") != NULL) != (status == DONE && !marker_there))
		die("the marker does not say what happened");
	if (status == DONE && errors_length != 0)
		die("a complaint without a failure");
	if (status != DONE
	    && (strncmp(errors, "payload-import: FAILED: ", 24) != 0 || strchr(errors, '\n') != errors + errors_length - 1))
		die("a failure without its one line");
	if (status == ENDS_EARLY || status == READ_ERROR) {
		char where[40];

		sprintf(where, ": byte 0x%016llx: ", (unsigned long long) (read_fails_at < payload_length ? read_fails_at : payload_length));
		if (strstr(errors, where) == NULL)
			die("another byte than the one where reading ended");
	}
	for (k = 0; k < errors_length; k++)
		if (errors[k] != '\n' && (errors[k] < ' ' || errors[k] > '~'))
			die("a control character on the console");
	free(exact);
	return status;
}

static int fuzz(uint64_t seed, uint64_t count)
{
	static unsigned long statuses[CANNOT_MARK + 1];
	int i;

	/* Too far for a payload in memory. */
	position_low = 0xfffffff0u;
	take(0x20);
	if (position_high != 1 || position_low != 0x10)
		die("a device of more than 4 GiB is miscounted");

	for (run_number = 0; run_number < count; run_number++) {
		state = (seed + run_number) * 0x9e3779b97f4a7c15u + 1;
		chance(2);
		chance(2);
		random_payload();
		statuses[one_run()]++;
	}
	for (i = 0; i <= CANNOT_MARK; i++)
		printf("%d %lu\n", i, statuses[i]);
	return 0;
}

/* ---- Probing: "3:64=payload 8:0=other" are the disks of the kernel, "/dev/sda=8:0" the nodes that are there. */

static const char *probe_disks, *probe_nodes, *probe_partitions;
static char made_nodes[1 << 16];

/* The kernel's disk behind a path, "" where a node leads nowhere, NULL without a node. */
static const char *behind(const char *path)
{
	static char kind[32];
	char key[300];
	const char *at;
	int in_given;

	for (in_given = 0; in_given < 2; in_given++) {
		sprintf(key, " %s=", path);
		at = strstr(in_given ? probe_nodes : made_nodes, key);
		if (at == NULL)
			continue;
		at += strlen(key);
		sprintf(key, " %.*s=", (int) strcspn(at, " "), at);
		at = strstr(probe_disks, key);
		if (at == NULL)
			return "";
		at += strlen(key);
		sprintf(kind, "%.*s", (int) strcspn(at, " "), at);
		return kind;
	}
	return NULL;
}

static int probe_open(const char *path)
{
	static const char one_file[] = "LBPAYLD1\1\0\0\0\1\0\0\0\1\0\0\0ab";
	const char *kind;
	int fd;

	if (strcmp(path, "/proc/partitions") == 0) {
		if (probe_partitions[0] == 0)
			return -1;
		fd = new_fd();
		fds[fd - FD_BASE].bytes = (const unsigned char *) probe_partitions;
		fds[fd - FD_BASE].length = strlen(probe_partitions);
		return fd;
	}
	kind = behind(path);
	sprintf(probed + strlen(probed), "open %s: %s\n", path, kind == NULL ? "no node" : kind[0] == 0 ? "no disk" : kind);
	if (kind == NULL || kind[0] == 0)
		return -1;
	fd = new_fd();
	fds[fd - FD_BASE].device = 1;
	read_fails_at = strcmp(kind, "unreadable") == 0 ? 0 : NEVER;
	fds[fd - FD_BASE].bytes = (const unsigned char *) (strcmp(kind, "payload") == 0 ? one_file : "some other disk");
	fds[fd - FD_BASE].length = strcmp(kind, "empty") == 0 ? 0 : strcmp(kind, "short") == 0 ? 5 : strcmp(kind, "payload") == 0 ? sizeof(one_file) - 1 : 15;
	return fd;
}

static int world_mknod(const char *path, mode_t mode, dev_t number)
{
	unsigned long low = (unsigned long) number;

	if (mode != (S_IFBLK | 0600))
		die("a node of an odd kind");
	sprintf(made_nodes + strlen(made_nodes), "%s=%lu:%lu ", path, low >> 8 & 0xfff, (low & 0xff) | (low >> 12 & 0xfff00));
	sprintf(probed + strlen(probed), "mknod %s %lu:%lu\n", path, low >> 8 & 0xfff, (low & 0xff) | (low >> 12 & 0xfff00));
	return 0;
}

static int probe(char **words)
{
	static char disks_text[4096], nodes_text[4096];
	int found;

	reset_world();
	probing = 1;
	sprintf(disks_text, " %s ", words[0]);
	sprintf(nodes_text, " %s ", words[1]);
	strcpy(made_nodes, " ");
	probe_disks = disks_text;
	probe_nodes = nodes_text;
	probe_partitions = words[2];
	found = find_disk();
	printf("%s%sfound %s\n", probed, output, found ? device_name : "nothing");
	return 0;
}

int main(int argc, char **argv)
{
	if (argc == 4 && strcmp(argv[1], "fuzz") == 0)
		return fuzz(strtoull(argv[2], NULL, 10), strtoull(argv[3], NULL, 10));
	if (argc == 5 && strcmp(argv[1], "probe") == 0)
		return probe(argv + 2);
	fprintf(stderr, "usage: harness fuzz SEED COUNT | probe DISKS NODES PARTITIONS\n");
	return 2;
}
