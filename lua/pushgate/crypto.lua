-- What tokens need of libcrypto, which is in nginx already: Ed25519, HMAC-SHA256, base64url.
--
-- Pure: no nginx phase, no I/O.

local bit = require("bit")
local ffi = require("ffi")

local byte = string.byte
local char = string.char

ffi.cdef([[
typedef struct evp_pkey_st EVP_PKEY;
typedef struct evp_md_ctx_st EVP_MD_CTX;
typedef struct evp_md_st EVP_MD;
EVP_PKEY *EVP_PKEY_new_raw_public_key(int type, void *engine, const unsigned char *key, size_t len);
void EVP_PKEY_free(EVP_PKEY *key);
EVP_MD_CTX *EVP_MD_CTX_new(void);
void EVP_MD_CTX_free(EVP_MD_CTX *ctx);
int EVP_DigestVerifyInit(EVP_MD_CTX *ctx, void **pctx, const EVP_MD *type, void *engine,
    EVP_PKEY *key);
int EVP_DigestVerify(EVP_MD_CTX *ctx, const unsigned char *signature, size_t signature_len,
    const unsigned char *text, size_t text_len);
const EVP_MD *EVP_sha256(void);
unsigned char *HMAC(const EVP_MD *type, const void *key, int key_len, const unsigned char *text,
    size_t text_len, unsigned char *out, unsigned int *out_len);
int CRYPTO_memcmp(const void *a, const void *b, size_t len);
void ERR_clear_error(void);
]])

-- In nginx it is among the process' own symbols.
local C = ffi.C
if not pcall(function() return C.EVP_DigestVerify end) then
    C = ffi.load("libcrypto.so.3")
end

local ED25519 = 1087
local ED25519_KEY_BYTES, ED25519_SIGNATURE_BYTES = 32, 64
local SHA256_BYTES = 32

local ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
local VALUES = {}
for i = 1, #ALPHABET do
    VALUES[byte(ALPHABET, i)] = i - 1
end

local _M = {}

-- Decodes base64url as tokens have it: without padding, and so that each text has one form only.
-- Returns the bytes; nil for any other text.
function _M.decode_base64url(text)
    local rest = #text % 4
    if rest == 1 then
        return nil
    end
    local parts, bits, held = {}, 0, 0
    for i = 1, #text do
        local value = VALUES[byte(text, i)]
        if not value then
            return nil
        end
        bits, held = bit.bor(bit.lshift(bit.band(bits, 0xff), 6), value), held + 6
        if held >= 8 then
            held = held - 8
            parts[#parts + 1] = char(bit.band(bit.rshift(bits, held), 0xff))
        end
    end
    if bit.band(bits, bit.lshift(1, held) - 1) ~= 0 then
        return nil
    end
    return table.concat(parts)
end

-- An Ed25519 key from its 32 public bytes, as verify(text, signature); nil when it is none.
function _M.ed25519(public)
    if #public ~= ED25519_KEY_BYTES then
        return nil
    end
    local key = C.EVP_PKEY_new_raw_public_key(ED25519, nil, public, #public)
    if key == nil then
        C.ERR_clear_error()
        return nil
    end
    ffi.gc(key, C.EVP_PKEY_free)
    return function(text, signature)
        if #signature ~= ED25519_SIGNATURE_BYTES then
            return false
        end
        local ctx = C.EVP_MD_CTX_new()
        if ctx == nil then
            return false
        end
        local holds = C.EVP_DigestVerifyInit(ctx, nil, nil, nil, key) == 1
            and C.EVP_DigestVerify(ctx, signature, #signature, text, #text) == 1
        C.EVP_MD_CTX_free(ctx)
        if not holds then
            -- nginx would take what is left there for an error of the next TLS connection.
            C.ERR_clear_error()
        end
        return holds
    end
end

-- A secret, as verify(text, signature) by HMAC-SHA256.
function _M.hs256(secret)
    local out = ffi.new("unsigned char[?]", SHA256_BYTES)
    return function(text, signature)
        if #signature ~= SHA256_BYTES
            or C.HMAC(C.EVP_sha256(), secret, #secret, text, #text, out, nil) == nil
        then
            return false
        end
        return C.CRYPTO_memcmp(out, signature, SHA256_BYTES) == 0
    end
end

return _M
