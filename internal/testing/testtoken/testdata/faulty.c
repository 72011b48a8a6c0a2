// A PKCS #11 module that stands before another one (MODULE, a path) and fails or
// dawdles on demand. A shared file (CONTROL) tells it how:
//
//	word 0  microseconds that each watched call takes longer
//	word 1  number of the function that fails
//	word 2  the code that it fails with
//	word 3  how many more times
//	word 4  whether it acts before it fails
//	word 5  how many sessions there are at most, 0 for no limit
//	word 6  how many sessions are open
//	word 7  what it is like otherwise: the bits of quirks.c
//	word 8  the code that every call fails with while the link is cut, 0 while it is not
//	word 9  how often the link was cut
//	word 10 number of the function that hangs, 0 for none
//	word 11 how many calls hang
//	word 16 and up: how often each watched function was called, by number
//
// Functions are numbered in the order of the function list (PKCS #11 v2.40).
//
// Once the link was cut, every call fails until C_Finalize and a C_Initialize while it is
// not cut. Each C_GetFunctionList but the first returns the list of another instance,
// which is not initialised: p11-kit's modules have one for each list.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

typedef unsigned long ulong_t;
typedef struct {
	unsigned char version[2];
	void *f[68];
} list_t;

static list_t *real, ours;
static volatile uint32_t *control;

enum { initialize = 0, finalize = 1, get_info = 2, get_slot_list = 4, get_slot_info = 5, get_token_info = 6, get_mechanism_list = 7, get_mechanism_info = 8, open_session = 12, close_session = 13, close_all = 14, get_session_info = 15, login = 18,
	logout = 19, create_object = 20, destroy_object = 22, get_attribute = 24, set_attribute = 25, find_init = 26, find = 27,
	find_final = 28, encrypt_init = 29, encrypt = 30,
	decrypt_init = 33, decrypt = 34, sign_init = 42, sign = 43, generate_key = 58, generate_pair = 59, wrap_key = 60, unwrap_key = 61,
	generate_random = 64 };

// cuts is word 9 as it was at the last C_Initialize, lost the code since the link was cut.
static volatile uint32_t cuts, lost;

// dead returns the code of a link that was cut, or 0.
static ulong_t dead(void) {
	if (control[8] != 0) lost = control[8];
	if (control[9] == cuts) return control[8] != 0 ? control[8] : lost;
	return lost != 0 ? lost : 0x32;
}

static void wait_a_millisecond(void) {
	struct timespec t = {0, 1000000};
	nanosleep(&t, NULL);
}

// fails waits, counts, and returns the code to fail with, or 0.
static ulong_t fails(int n) {
	__sync_fetch_and_add(&control[16 + n], 1);
	if ((int)control[10] == n) {
		__sync_fetch_and_add(&control[11], 1);
		while ((int)control[10] == n) wait_a_millisecond();
		__sync_fetch_and_sub(&control[11], 1);
	}
	ulong_t bad = dead();
	if (bad != 0) return bad;
	if (control[0] != 0) {
		struct timespec t = {control[0] / 1000000, (long)(control[0] % 1000000) * 1000};
		nanosleep(&t, NULL);
	}
	if ((int)control[1] != n) return 0;
	for (uint32_t left = control[3]; left > 0; left = control[3])
		if (__sync_bool_compare_and_swap(&control[3], left, left - 1)) return control[2];
	return 0;
}

typedef ulong_t (*call_t)(ulong_t, ulong_t, ulong_t, ulong_t, ulong_t, ulong_t, ulong_t, ulong_t);

#include "quirks.c"

#define WATCH(n)                                                                                                       \
	static ulong_t watched_##n(ulong_t a, ulong_t b, ulong_t c, ulong_t d, ulong_t e, ulong_t f, ulong_t g, ulong_t h) { \
		ulong_t bad = fails(n);                                                                                          \
		if (bad != 0 && !control[4]) {                                                                                   \
			if (n == destroy_object) hide(b);                                                                              \
			return bad;                                                                                                    \
		}                                                                                                                \
		ulong_t rv = quirky(n, (ulong_t[]){a, b, c, d, e, f, g, h});                                                     \
		return bad != 0 ? bad : rv;                                                                                      \
	}

// The arguments of all these calls are words, and at most eight.
WATCH(get_mechanism_list)
WATCH(get_session_info)
WATCH(login)
WATCH(logout)
WATCH(create_object)
WATCH(destroy_object)
WATCH(get_attribute)
WATCH(set_attribute)
WATCH(find_init)
WATCH(find)
WATCH(find_final)
WATCH(encrypt_init)
WATCH(encrypt)
WATCH(decrypt_init)
WATCH(decrypt)
WATCH(sign_init)
WATCH(sign)
WATCH(generate_key)
WATCH(generate_pair)
WATCH(unwrap_key)
WATCH(generate_random)

// PASS makes a function fail with the link alone.
#define PASS(n)                                                                                                        \
	static ulong_t passed_##n(ulong_t a, ulong_t b, ulong_t c, ulong_t d, ulong_t e, ulong_t f) {                        \
		ulong_t bad = dead();                                                                                            \
		return bad != 0 ? bad : quirky(n, (ulong_t[]){a, b, c, d, e, f, 0, 0});                                          \
	}

PASS(get_info)
PASS(get_slot_list)
PASS(get_slot_info)
PASS(get_token_info)
PASS(get_mechanism_info)
PASS(wrap_key)

// C_Initialize while the link is cut fails and changes nothing.
static ulong_t passed_initialize(ulong_t a) {
	if (control[8] != 0) return control[8];
	ulong_t rv = ((call_t)real->f[initialize])(a, 0, 0, 0, 0, 0, 0, 0);
	if (rv == 0) cuts = control[9], lost = 0;
	return rv;
}

#define CKR_SESSION_COUNT 0xB1

static ulong_t watched_open(ulong_t a, ulong_t b, ulong_t c, ulong_t d, ulong_t e) {
	ulong_t bad = fails(open_session);
	if (bad != 0) return bad;
	if (control[5] != 0 && __sync_fetch_and_add(&control[6], 0) >= control[5]) return CKR_SESSION_COUNT;
	ulong_t rv = quirky(open_session, (ulong_t[]){a, b, c, d, e, 0, 0, 0});
	if (rv == 0) __sync_fetch_and_add(&control[6], 1);
	return rv;
}

static ulong_t watched_close(ulong_t a) {
	ulong_t bad = dead();
	if (bad != 0) return bad;
	ulong_t rv = quirky(close_session, (ulong_t[]){a, 0, 0, 0, 0, 0, 0, 0});
	if (rv == 0) __sync_fetch_and_sub(&control[6], 1);
	return rv;
}

static ulong_t watched_close_all(ulong_t a) { return dead() != 0 ? dead() : quirky(close_all, (ulong_t[]){a, 0, 0, 0, 0, 0, 0, 0}); }

static ulong_t watched_finalize(ulong_t a) {
	__sync_fetch_and_add(&control[16 + finalize], 1);
	if (control[1] == finalize && control[3] > 0) return control[3]--, control[2];
	return quirky(finalize, (ulong_t[]){a, 0, 0, 0, 0, 0, 0, 0});
}

static ulong_t not_initialised(void) { return 0x190; }

ulong_t C_GetFunctionList(list_t **list) {
	static list_t other;
	if (control != NULL) {
		for (int i = 0; i < 68; i++) other.f[i] = (void *)not_initialised;
		*list = &other;
		return 0;
	}
	void *module = dlopen(MODULE, RTLD_NOW | RTLD_LOCAL);
	int fd = open(CONTROL, O_RDWR);
	if (module == NULL || fd < 0) return 5;
	ulong_t (*get)(list_t **) = (ulong_t(*)(list_t **))dlsym(module, "C_GetFunctionList");
	control = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	close(fd);
	if (get == NULL || control == MAP_FAILED || get(&real) != 0) return 5;
	memcpy(&ours, real, sizeof ours);
#define PUT(n) ours.f[n] = (void *)watched_##n
	PUT(finalize), PUT(get_mechanism_list), PUT(get_session_info), PUT(login), PUT(logout);
	PUT(create_object), PUT(destroy_object), PUT(get_attribute), PUT(set_attribute), PUT(find_init), PUT(find), PUT(find_final);
	PUT(encrypt_init), PUT(encrypt), PUT(decrypt_init), PUT(decrypt), PUT(sign_init), PUT(sign), PUT(generate_key);
	PUT(generate_pair), PUT(unwrap_key), PUT(generate_random), PUT(close_all);
#define PUT_PASSED(n) ours.f[n] = (void *)passed_##n
	PUT_PASSED(initialize), PUT_PASSED(get_info), PUT_PASSED(get_slot_list), PUT_PASSED(get_slot_info);
	PUT_PASSED(get_token_info), PUT_PASSED(get_mechanism_info), PUT_PASSED(wrap_key);
	ours.f[open_session] = (void *)watched_open;
	ours.f[close_session] = (void *)watched_close;
	*list = &ours;
	return 0;
}
