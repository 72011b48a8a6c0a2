// What some tokens are like that the one behind is not. Word 7 of the control file
// says which of it holds; faulty.c includes this file.
#include <pthread.h>

enum {
	no_unwrap_template = 1,  // CKA_UNWRAP_TEMPLATE is not known
	no_session_objects = 2,  // CKA_TOKEN must be true
	token_ignored = 4,       // CKA_TOKEN is taken as false
	keypad = 8,              // the PIN is typed on the token
	sessions_reused = 16,    // the lowest free number is a new session's handle
	objects_reused = 32,     // likewise for objects
	forgets_undestroyed = 64, // an object that could not be destroyed is not found until C_Finalize
	tells_limit = 128,       // the token information has word 5 as its limit of sessions
	few_roles = 256,         // CKA_SIGN_RECOVER and CKA_VERIFY_RECOVER are as CKA_SIGN and CKA_VERIFY; CKA_PRIVATE is not false
	wants_type = 512,        // CKA_CLASS and CKA_KEY_TYPE must be there
	nested_fails = 1024,     // an attribute with pointers in its value: CKR_DEVICE_ERROR
	nested_kills = 2048,     // likewise, and from then on the link is lost
	eddsa_kills = 4096,      // with the first use of CKM_EDDSA the link is lost
	no_pkcs1 = 8192,         // CKM_RSA_PKCS is not there
	login_unasked = 16384,   // CKF_LOGIN_REQUIRED is clear, and a login is wanted
	two_handles = 32768      // C_FindObjects shows each object under two handles
};

static int like(uint32_t quirk) { return (control[7] & quirk) != 0; }

typedef struct {
	ulong_t type;
	unsigned char *value;
	ulong_t len;
} attribute_t;

static attribute_t *attribute(ulong_t list, ulong_t n, ulong_t type) {
	for (attribute_t *a = (attribute_t *)list; n > 0; a++, n--)
		if (a->type == type) return a;
	return NULL;
}

// differ reports whether a role and its form with recovery, which is the next
// attribute, are given and differ.
static int differ(ulong_t list, ulong_t n, ulong_t role) {
	attribute_t *plain = attribute(list, n, role), *recovers = attribute(list, n, role + 1);
	return plain != NULL && recovers != NULL && plain->value[0] != recovers->value[0];
}

// check refuses a template of something that is to be made, or changes it.
static ulong_t check(ulong_t list, ulong_t n) {
	attribute_t *lasting = attribute(list, n, 1), *private = attribute(list, n, 2);
	if (like(few_roles) && (differ(list, n, 0x108) || differ(list, n, 0x10A))) return 0x13;
	if (like(few_roles) && private != NULL && !private->value[0]) return 0x13;
	if (like(wants_type) && !(attribute(list, n, 0) && attribute(list, n, 0x100))) return 0xD0;
	if (attribute(list, n, 0x40000212UL) && like(nested_kills)) return lost = 0x30;
	if (attribute(list, n, 0x40000212UL) && like(nested_fails)) return 0x30;
	if (like(no_unwrap_template) && attribute(list, n, 0x40000212UL)) return 0x12;
	if (like(no_session_objects) && (lasting == NULL || !lasting->value[0])) return 0x13;
	if (like(token_ignored) && lasting != NULL) lasting->value[0] = 0;
	return 0;
}

static ulong_t check_call(int n, ulong_t *a) {
	switch (n) {
	case encrypt_init: case decrypt_init: case sign_init:
		if (like(eddsa_kills) && *(ulong_t *)a[1] == 0x1057) return lost = 0x30;
		return like(no_pkcs1) && *(ulong_t *)a[1] == 1 ? 0x70 : 0;
	case create_object: return check(a[1], a[2]);
	case generate_key: return check(a[2], a[3]);
	case unwrap_key: return check(a[5], a[6]);
	case generate_pair: {
		ulong_t bad = check(a[2], a[3]);
		return bad != 0 ? bad : check(a[4], a[5]);
	}
	}
	return 0;
}

// Handles of the token behind, by those that are shown.
#define HANDLES 4096
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static ulong_t sessions[HANDLES], objects[HANDLES], hidden[16];

// show returns the number that stands for a handle: the one it has, or the lowest
// that is free.
static ulong_t show(ulong_t *table, ulong_t handle) {
	ulong_t free = 0;
	pthread_mutex_lock(&lock);
	for (ulong_t i = HANDLES - 1; i > 0; i--) {
		if (table[i] == 0) free = i;
		if (table[i] == handle) {
			free = i;
			break;
		}
	}
	table[free] = handle;
	pthread_mutex_unlock(&lock);
	return free;
}

static ulong_t behind(ulong_t *table, ulong_t shown) {
	return shown < HANDLES && table[shown] != 0 ? table[shown] : ~0UL - 15;
}

static void hide(ulong_t object) {
	for (int i = 0; like(forgets_undestroyed) && i < 16; i++)
		if (hidden[i] == 0) {
			hidden[i] = object;
			return;
		}
}

// drop_hidden takes what is hidden out of the handles that C_FindObjects found.
static void drop_hidden(ulong_t *found, ulong_t *count) {
	ulong_t kept = 0;
	for (ulong_t i = 0; i < *count; i++) {
		int is_hidden = 0;
		for (int j = 0; j < 16; j++) is_hidden |= hidden[j] != 0 && hidden[j] == found[i];
		if (!is_hidden) found[kept++] = found[i];
	}
	*count = kept;
}

// object_in is the place of an argument that is an object's handle, or -1.
static int object_in(int n) {
	switch (n) {
	case destroy_object: case get_attribute: case set_attribute: return 1;
	case encrypt_init: case decrypt_init: case sign_init: case unwrap_key: return 2;
	}
	return -1;
}

// show_objects changes the handles that a call returns.
static void show_objects(int n, ulong_t *a) {
	switch (n) {
	case create_object: *(ulong_t *)a[3] = show(objects, *(ulong_t *)a[3]); return;
	case generate_key: *(ulong_t *)a[4] = show(objects, *(ulong_t *)a[4]); return;
	case unwrap_key: *(ulong_t *)a[7] = show(objects, *(ulong_t *)a[7]); return;
	case generate_pair:
		*(ulong_t *)a[6] = show(objects, *(ulong_t *)a[6]);
		*(ulong_t *)a[7] = show(objects, *(ulong_t *)a[7]);
		return;
	case find:
		for (ulong_t i = 0; i < *(ulong_t *)a[3]; i++) ((ulong_t *)a[1])[i] = show(objects, ((ulong_t *)a[1])[i]);
	}
}

// The second handle of an object is this much above the first.
#define TWIN 0x40000000UL

// show_twins doubles what C_FindObjects found, as far as there is room.
static void show_twins(ulong_t *found, ulong_t room, ulong_t *count) {
	ulong_t n = *count;
	if (2 * n > room) return;
	for (ulong_t i = 0; i < n; i++) found[n + i] = found[i] + TWIN;
	*count = 2 * n;
}

// hide_mechanism takes a mechanism out of a list.
static void hide_mechanism(ulong_t *list, ulong_t *count, ulong_t hidden) {
	ulong_t kept = 0;
	for (ulong_t i = 0; i < *count; i++)
		if (list[i] != hidden) list[kept++] = list[i];
	*count = kept;
}

// limits tells the limit of sessions, and the keypad.
static void limits(unsigned char *info) {
	ulong_t *words = (ulong_t *)(info + 32 + 32 + 16 + 16); // flags, and four counts of sessions
	if (like(keypad)) words[0] |= 0x100;
	if (like(login_unasked)) words[0] &= ~4UL;
	if (like(tells_limit)) words[1] = words[3] = control[5];
}

// quirky makes a call of the token behind.
static ulong_t quirky(int n, ulong_t *a) {
	int at = object_in(n), of_session = n > open_session && n != close_all;
	ulong_t session = a[0], object = at < 0 ? 0 : a[at], bad = check_call(n, a);
	if (bad != 0) return bad;
	if (like(sessions_reused) && of_session) a[0] = behind(sessions, session);
	if (like(objects_reused) && at >= 0) a[at] = behind(objects, object);
	if (at >= 0 && object >= TWIN && like(two_handles)) a[at] -= TWIN;
	if (n == login && like(keypad) && a[2] == 0) a[2] = (ulong_t)PIN, a[3] = strlen(PIN);
	if (n == close_all || n == finalize) memset(sessions, 0, sizeof sessions);
	if (n == finalize) memset(objects, 0, sizeof objects), memset(hidden, 0, sizeof hidden);
	ulong_t rv = ((call_t)real->f[n])(a[0], a[1], a[2], a[3], a[4], a[5], a[6], a[7]);
	if (rv != 0) return rv;
	if (n == get_mechanism_list && like(no_pkcs1) && a[1] != 0) hide_mechanism((ulong_t *)a[1], (ulong_t *)a[2], 1);
	if (n == get_token_info) limits((unsigned char *)a[1]);
	if (n == find) drop_hidden((ulong_t *)a[1], (ulong_t *)a[3]);
	if (like(sessions_reused) && n == close_session) sessions[session] = 0;
	if (like(sessions_reused) && n == open_session) *(ulong_t *)a[4] = show(sessions, *(ulong_t *)a[4]);
	if (like(objects_reused) && n == destroy_object) objects[object] = 0;
	if (like(objects_reused)) show_objects(n, a);
	if (n == find && like(two_handles)) show_twins((ulong_t *)a[1], a[2], (ulong_t *)a[3]);
	return rv;
}
