/*
 * src/server/redact: what must go goes, what only looks a little like it stays, in linear time.
 */
#include "../cm.h"

#include "base/alloc.h"
#include "base/clock.h"
#include "server/redact.h"

#include <string.h>

static void redacts(const char *text, const char *want) {
    gi_buf out;
    gi_buf_init(&out, 1 << 20);
    assert_int_equal(gi_redact(text, strlen(text), &out, NULL), GLINT_OK);
    assert_string_equal(out.data ? (const char *)out.data : "", want);
    gi_buf_done(&out);
}

static void stays(const char *text) {
    redacts(text, text);
}

static void test_phones(void **state) {
    redacts("13800138000", "[phone]");
    redacts("电话13800138000。", "电话[phone]。");
    redacts("138 0013 8000, 139-1234-5678", "[phone], [phone]");
    redacts("+86 138 0013 8000", "[phone]");
    redacts("+8613800138000", "[phone]");
    redacts("008613800138000", "[phone]");
    redacts("86-13800138000", "[phone]");
    redacts("(010) 12345678", "([phone]");
    redacts("010-12345678 0755-1234567", "[phone] [phone]");
    redacts("400-820-8820", "[phone]");
    redacts("+1 415 555 2671", "[phone]");
    redacts("415-555-2671", "[phone]");
    redacts("１３８００１３８０００", "[phone]");
    redacts("a13800138000b", "a[phone]b");
    redacts("138.0013.8000", "[phone]");
    redacts("138–0013–8000", "[phone]");
    redacts("１３８－００１３－８０００", "[phone]");
    redacts("拨打138.0013.8000. 或", "拨打[phone]. 或");
    redacts("+86.138.0013.8000, 86‑138‑0013‑8000", "[phone], [phone]");
    redacts("415.555.2671 +44.20.7946.0958", "[phone] [phone]");
    redacts("010.12345678 0755–1234567", "[phone] [phone]");
    redacts("2023.13800138000", "2023.[phone]");
    redacts("138 0013 8000.50", "[phone].50");
}

static void test_addresses(void **state) {
    redacts("li.lei+x@mail.example.com", "[email]");
    redacts("邮箱abc@qq.com谢谢", "邮箱[email]谢谢");
    redacts("<a@b.cn>, c_d@e-f.org.", "<[email]>, [email].");
    redacts("13800138000@163.com", "[email]");
    /* Right behind something else. */
    redacts("010 12345678li@example.cn", "[phone][email]");
    redacts("39.9042, 116.4074li@example.cn", "[gps][email]");
    redacts("a@b.cn_x@c.de", "[email][email]");
    stays("a@b");
    stays("@someone hello");
    stays("x @ y.z");
    stays("a@.com");
}

static void test_identity_cards(void **state) {
    redacts("11010519491231002X", "[id]");
    redacts("身份证11010519491231002x号", "身份证[id]号");
    redacts("110105 19491231 002X", "[id]");
    redacts("440524188001010014", "[id]");
    stays("110105194912310021"); /* the check digit is X; and no card's */
}

static void test_cards(void **state) {
    redacts("4111111111111111", "[card]");
    redacts("4111 1111 1111 1111", "[card]");
    redacts("5500-0055-5555-5559", "[card]");
    redacts("4111–1111–1111–1111 4111.1111.1111.1111", "[card] [card]");
    redacts("6222020200112230006 13800138000", "6222020200112230006 [phone]");
    stays("4111111111111112");
}

static void test_places(void **state) {
    redacts("39.9042, 116.4074", "[gps]");
    redacts("在 39.904200，116.407400 见", "在 [gps] 见");
    redacts("-33.8688 151.2093", "[gps]");
    redacts("39°54'20\"N 116°23'29\"E", "[gps] [gps]");
    redacts("北纬39度54分", "北纬[gps]");
    redacts("39.9042° N", "[gps]");
    redacts("北纬39.9042°，东经116.4074°", "北纬[gps]，东经[gps]");
    redacts("纬度39.9042 经度116.4074", "纬度[gps] 经度[gps]");
    redacts("纬度：-33.8688，經度為 151.2093", "纬度：[gps]，經度為 151.2093");
    redacts("{\"lat\":39.9042,\"lon\":116.4074}", "{\"lat\":[gps],\"lon\":[gps]}");
    redacts("latitude = '39.9042' userLng: 116.40740", "latitude = '[gps]' userLng: [gps]");
    redacts("?pickup_lat=39.9042&pickup_lng=116.4074", "?pickup_lat=[gps]&pickup_lng=[gps]");
    redacts("N39.9042 E116.4074", "N[gps]");
    redacts("N 39.9042, W 116.4074", "N [gps]");
    redacts("39.9042N 116.4074E", "[gps]");
    redacts("N39.9042E116.4074, 39.9042N116.4074E", "N[gps], [gps]");
    redacts("138.0013.8000N39.9042 E116.4074", "[phone]N[gps]"); /* as when redacted again */
    redacts("11010519491231002Xlat 39.9042", "[id]lat [gps]");
    redacts("39.9042° N, 116.4074° W", "[gps]");
    redacts("39.9042°, 116.4074°", "[gps]");
    redacts("39.9042, 116.4074East", "[gps]East");
    redacts("area S 39.9042, 116.4074", "area S [gps]");
    stays("3.14159");
    stays("99.999, 250.123");
    stays("1.5, 2.5");
    stays("30°C");
    stays("36.612°C, 37.205°C");
    stays("1.234W 2.345W");
    stays("flat: 3.14159, plat=0.123, long 12.345 m");
    stays("lat 3.5, lng 7.25");
    stays("S3.1415 型, size N12.345");
}

static void test_numbers(void **state) {
    redacts("12345678901234567890", "[number]");
    stays("2023-11-15 10:30");
    stays("价格 299 元，3 件 8.5 折");
    stays("100000");
    stays("1-2-3-4-5");
    /* Prices, sizes, dates, times, versions, addresses of machines, decimals, ranges. */
    stays("￥1299.00 → ￥999.00, $1,299.99, 19.99–29.99, 1299–1599, 15000–200000");
    stays("10.5×20.3×30.25 cm, 1920.1080.60, 0.5-1.5 L, 120.5 g");
    stays("2023.11.15, 2023–11–15, 2019–2023, 15.11.2023 10.30.45");
    stays("1.2.3, v10.15.7, 138.0.7204.183, 2.0.0-rc.1, 1.138.2023.1");
    stays("192.168.100.200, 192.168.10.200, 8.8.8.8");
    stays("0.1234567890 是 p 值，3.1415926536 是 π，+3.14159265 也是，1.000.000,00");
    stays("4111.1111.1111.1112");
    stays("");
}

/* Long texts that a careless search would look through again and again. */
static void test_linear(void **state) {
    static const char *const PIECES[] = {"1",
                                         "1 ",
                                         "a",
                                         "a@",
                                         "a@b.",
                                         "1.",
                                         "39.90 ",
                                         "13800138000-",
                                         "\xEF\xBC\x91",
                                         "1\xC2\xB0",
                                         "@",
                                         "-1",
                                         "1.234 ",
                                         "N39.904 E",
                                         "lat:1.2345",
                                         "138.0013–8000"};
    enum { BYTES = 1 << 20 };
    char *text = gi_alloc(BYTES);
    for (size_t i = 0; i < sizeof PIECES / sizeof PIECES[0]; i++) {
        const size_t n = strlen(PIECES[i]);
        for (size_t at = 0; at < BYTES; at++) text[at] = PIECES[i][at % n];
        gi_buf out;
        gi_buf_init(&out, 8 * BYTES);
        const double begun_ms = gi_clock_ms();
        assert_int_equal(gi_redact(text, BYTES, &out, NULL), GLINT_OK);
        /* Quadratic would be minutes. */
        assert_true(gi_clock_ms() - begun_ms < 5000);
        gi_buf_done(&out);
    }
    gi_free(text);
}

static void test_no_memory(void **state) {
    gi_buf out;
    gi_buf_init(&out, 1 << 20);
    gi_alloc_fail_at(1);
    assert_int_equal(gi_redact("a 13800138000 b", 15, &out, NULL), GLINT_ERR_MEMORY);
    gi_alloc_fail_at(0);
    gi_buf_done(&out);
    gi_buf_init(&out, 4);
    assert_int_equal(gi_redact("a 13800138000 b", 15, &out, NULL), GLINT_ERR_LIMIT);
    gi_buf_done(&out);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_phones),         cmocka_unit_test(test_addresses),
        cmocka_unit_test(test_identity_cards), cmocka_unit_test(test_cards),
        cmocka_unit_test(test_places),         cmocka_unit_test(test_numbers),
        cmocka_unit_test(test_linear),         cmocka_unit_test(test_no_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
