// The bare loop of calls that a driver is measured against. It logs in to a token and
// finds a key by its id; then it reads lines "milliseconds threads" and answers
// "operations nanoseconds cpu-nanoseconds", each thread with a session of its own.
//
// Arguments: module, token label, file with the PIN, key id in hexadecimal, operation
// (hmac, ecdsa, rsa), initialisation argument of the module (may be empty).
#include <dlfcn.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

typedef unsigned long ulong_t;
typedef struct {
	unsigned char version[2];
	void *f[68];
} list_t;
typedef struct {
	ulong_t type;
	void *value;
	ulong_t len;
} attribute_t;
typedef struct {
	ulong_t type;
	void *parameter;
	ulong_t len;
} mechanism_t;
typedef struct {
	void *callbacks[4];
	ulong_t flags;
	void *reserved;
	void *after; // NSS has a field more
} init_t;

typedef ulong_t (*call_t)(ulong_t, ulong_t, ulong_t, ulong_t, ulong_t);
#define CALL(n, a, b, c, d, e)                                                                                         \
	((call_t)list->f[n])((ulong_t)(a), (ulong_t)(b), (ulong_t)(c), (ulong_t)(d), (ulong_t)(e))
#define MUST(x)                                                                                                        \
	do {                                                                                                                 \
		ulong_t rv_ = (x);                                                                                                 \
		if (rv_ != 0) {                                                                                                    \
			fprintf(stderr, "%s: 0x%lx\n", #x, rv_);                                                                         \
			exit(1);                                                                                                         \
		}                                                                                                                  \
	} while (0)

static list_t *list;
static ulong_t slot, key;
static const char *operation;
static unsigned char info[] = {0x30, 0x31, 0x30, 0x0d, 0x06, 0x09, 0x60, 0x86, 0x48, 0x01,
	0x65, 0x03, 0x04, 0x02, 0x01, 0x05, 0x00, 0x04, 0x20};

static long long read_clock(clockid_t clock) {
	struct timespec t;
	clock_gettime(clock, &t);
	return (long long)t.tv_sec * 1000000000 + t.tv_nsec;
}

static long long now(void) { return read_clock(CLOCK_MONOTONIC); }

typedef struct {
	ulong_t session;
	long long until, count;
} worker_t;

static void *work(void *argument) {
	worker_t *w = argument;
	unsigned char in[1024] = {7}, out[2048];
	mechanism_t m = {0x251, NULL, 0};
	int init = 42, call = 43;
	ulong_t len = 60;
	if (strcmp(operation, "ecdsa") == 0) {
		m.type = 0x1041, len = 32;
	} else if (strcmp(operation, "rsa") == 0) {
		m.type = 1, len = 51;
		memcpy(in, info, sizeof info);
	}
	for (w->count = 0; w->count == 0 || now() < w->until; w->count++) {
		ulong_t out_len = sizeof out;
		MUST(CALL(init, w->session, &m, key, 0, 0));
		MUST(CALL(call, w->session, in, len, out, &out_len));
	}
	return NULL;
}

static void find_slot(const char *label) {
	ulong_t slots[64], n = 64;
	MUST(CALL(4, 1, slots, &n, 0, 0));
	for (ulong_t i = 0; i < n; i++) {
		unsigned char token[512];
		if (CALL(6, slots[i], token, 0, 0, 0) == 0 && memcmp(token, label, strlen(label)) == 0) slot = slots[i];
	}
}

static void find_key(ulong_t session, const char *hex) {
	unsigned char id[16];
	ulong_t n = 0, secret = 4, private = 3;
	for (int i = 0; i < 16; i++) sscanf(hex + 2 * i, "%2hhx", &id[i]);
	for (int i = 0; i < 2; i++) {
		attribute_t t[] = {{0, i == 0 ? &secret : &private, sizeof secret}, {0x102, id, 16}};
		MUST(CALL(26, session, t, 2, 0, 0));
		if (n == 0) MUST(CALL(27, session, &key, 1, &n, 0));
		MUST(CALL(28, session, 0, 0, 0, 0));
	}
	if (n == 0) {
		fprintf(stderr, "no such key\n");
		exit(1);
	}
}

// log_in reads the PIN from a file, without the newline at its end.
static void log_in(ulong_t session, const char *path) {
	char pin[256];
	FILE *f = fopen(path, "r");
	if (f == NULL) exit(2);
	size_t n = fread(pin, 1, sizeof pin, f);
	fclose(f);
	while (n > 0 && (pin[n - 1] == '\n' || pin[n - 1] == '\r')) n--;
	MUST(CALL(18, session, 1, pin, n, 0));
	explicit_bzero(pin, sizeof pin);
}

int main(int argc, char **argv) {
	if (argc != 7) return 2;
	void *module = dlopen(argv[1], RTLD_NOW);
	if (module == NULL) return 2;
	((ulong_t(*)(list_t **))dlsym(module, "C_GetFunctionList"))(&list);
	init_t arguments = {.flags = 2, .reserved = argv[6][0] ? argv[6] : NULL};
	MUST(CALL(0, &arguments, 0, 0, 0, 0));
	find_slot(argv[2]);
	operation = argv[5];
	worker_t workers[64];
	pthread_t threads[64];
	int open = 0;
	MUST(CALL(12, slot, 6, 0, 0, &workers[open++].session));
	log_in(workers[0].session, argv[3]);
	find_key(workers[0].session, argv[4]);
	for (long ms; scanf("%ld", &ms) == 1;) {
		int n;
		if (scanf("%d", &n) != 1 || n > 64) return 2;
		while (open < n) MUST(CALL(12, slot, 6, 0, 0, &workers[open++].session));
		long long all = 0, start = now(), cpu = read_clock(CLOCK_PROCESS_CPUTIME_ID);
		for (int i = 0; i < n; i++) {
			workers[i].until = start + ms * 1000000LL;
			pthread_create(&threads[i], NULL, work, &workers[i]);
		}
		for (int i = 0; i < n; i++) {
			pthread_join(threads[i], NULL);
			all += workers[i].count;
		}
		printf("%lld %lld %lld\n", all, now() - start, read_clock(CLOCK_PROCESS_CPUTIME_ID) - cpu);
		fflush(stdout);
	}
	return 0;
}
