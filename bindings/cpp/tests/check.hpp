// What the C++ tests share: checks that count, and a list of tests.
#ifndef CHECK_HPP
#define CHECK_HPP

#include <mullama.hpp>

#include <functional>
#include <string>

// Counts a check, and ends the program if it does not hold.
void check(bool holds, const char *what, const char *file, int line);

#define CHECK(...) check(static_cast<bool>(__VA_ARGS__), #__VA_ARGS__, __FILE__, __LINE__)

// Whether a call throws an error of this status, with some text in its message.
bool fails(mullama::Status status, const std::string &text, const std::function<void()> &call);

// The echo, opened once for all tests.
const mullama::Runtime &runtime();
const mullama::Model &model();

// A request to repeat a text, and the tests of each file.
std::string say(const std::string &text);
void test_json();
void test_ownership();
void test_streams();
void test_processes();
void test_embed();

#endif
