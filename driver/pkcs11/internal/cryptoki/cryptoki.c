//go:build unix

#include "cryptoki.h"

#include <dlfcn.h>
#include <stddef.h>

#define CKR_FUNCTION_NOT_SUPPORTED 0x54UL
#define CKR_ARGUMENTS_BAD 0x07UL
#define CKU_USER 1UL

void *ck_load(const char *path, const char **error) {
	*error = "it cannot be loaded";
	dlerror();
	void *module = dlopen(path, RTLD_NOW | RTLD_LOCAL);
	if (module == NULL) {
		const char *reason = dlerror();
		if (reason != NULL) *error = reason;
		return NULL;
	}
	if (dlsym(module, "C_GetFunctionList") == NULL) {
		*error = "it has no C_GetFunctionList, so it is no PKCS #11 module";
		return NULL;
	}
	return module;
}

ck_rv ck_operate(ck_functions *f, int op, ck_ulong session, ck_ulong key, ck_ulong type, const void *parameter,
	ck_ulong parameter_len, const ck_byte *in, ck_ulong in_len, ck_byte *out, ck_ulong *out_len, int *failed_init) {
	ck_mechanism m = {type, parameter_len == 0 ? NULL : parameter, parameter_len};
	static const ck_byte nothing;
	ck_init init = op == ck_op_sign ? f->sign_init : f->decrypt_init;
	ck_one_call call = op == ck_op_sign ? f->sign : f->decrypt;
	*failed_init = 1;
	if (init == NULL || call == NULL) return CKR_FUNCTION_NOT_SUPPORTED;
	ck_rv rv = init(session, &m, key);
	if (rv != 0) return rv;
	*failed_init = 0;
	return call(session, in_len == 0 ? &nothing : in, in_len, out, out_len);
}

ck_rv ck_login(ck_functions *f, ck_ulong session, const ck_byte *pin, ck_ulong pin_len) {
	return f->login(session, CKU_USER, pin_len == 0 ? NULL : pin, pin_len);
}

ck_rv ck_create(ck_functions *f, ck_ulong session, const ck_byte *values, const ck_cell *cells, ck_ulong count,
	ck_ulong *object) {
	ck_attribute template[CK_MAX_ATTRIBUTES];
	if (count > CK_MAX_ATTRIBUTES) return CKR_ARGUMENTS_BAD;
	if (f->create_object == NULL) return CKR_FUNCTION_NOT_SUPPORTED;
	for (ck_ulong i = 0; i < count; i++) {
		template[i].type = cells[i].type;
		template[i].value = cells[i].len == 0 ? NULL : values + cells[i].offset;
		template[i].value_len = cells[i].len;
	}
	return f->create_object(session, template, count, object);
}

ck_rv ck_random(ck_functions *f, ck_ulong session, ck_byte *out, ck_ulong len) {
	if (f->generate_random == NULL) return CKR_FUNCTION_NOT_SUPPORTED;
	return f->generate_random(session, out, len);
}
