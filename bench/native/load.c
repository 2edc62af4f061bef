// The load generator and the origin of `npm run bench -- proxy`: they have to cost less than the proxies they measure. Compiled by the bench with
// the system's `cc`; no part of the product. One thread, one epoll descriptor; every answer is checked.
//
//   load origin ADDRESS PORT                     answers HTTP/1.1 requests (TCP) and echoes datagrams (UDP) on one port
//   load MODE proxy=IP:PORT origin=IP:PORT seconds=S concurrency=N [user=U password=P] [rate=R]
//        MODE: connect, socks5, http, relay, udp; prints one JSON object. `rate`: operations begin by the clock, and latency counts
//        from the moment an operation was due (no coordinated omission); without it each connection begins anew when it is done.

#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define MAX_CONNECTIONS 16384
#define BUFFER (256 * 1024)
#define CLIENT_ADDRESSES 200

static const char ANSWER[] = "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 3\r\n\r\nok\n";
static const char BULK[] = "HTTP/1.1 200 OK\r\nContent-Type: application/octet-stream\r\nConnection: close\r\n\r\n";
static const char BULK_REQUEST[] = "GET /bulk HTTP/1.1\r\nHost: bench\r\n\r\n";
static char buffer[BUFFER];
static char zeros[BUFFER];

static void die(const char *what) {
  fprintf(stderr, "load: %s: %s\n", what, strerror(errno));
  exit(1);
}

static long long now_ns(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return t.tv_sec * 1000000000LL + t.tv_nsec;
}

static struct sockaddr_in address_of(const char *text) {
  char host[64];
  struct sockaddr_in address = {.sin_family = AF_INET};
  const char *colon = strrchr(text, ':');
  if (colon == NULL || (size_t)(colon - text) >= sizeof host) errno = EINVAL, die(text);
  memcpy(host, text, colon - text);
  host[colon - text] = 0;
  if (inet_pton(AF_INET, host, &address.sin_addr) != 1) errno = EINVAL, die(text);
  address.sin_port = htons(atoi(colon + 1));
  return address;
}

static void set(int fd, int level, int option, int value) { setsockopt(fd, level, option, &value, sizeof value); }

static void watch(int epoll, int fd, int op, unsigned events, unsigned long long data) {
  struct epoll_event event = {.events = events, .data.u64 = data};
  if (epoll_ctl(epoll, op, fd, &event) != 0 && op != EPOLL_CTL_DEL) die("epoll_ctl");
}

// ---- origin

static unsigned char held_length[MAX_CONNECTIONS * 4];
static char bulk[MAX_CONNECTIONS * 4];

static void origin_pour(int fd) {
  for (int turns = 0; turns < 8; turns++)
    if (send(fd, zeros, BUFFER, MSG_NOSIGNAL | MSG_DONTWAIT) <= 0) return;
}

// Counts the ends of heads in what arrived; a head may come in pieces.
static void origin_read(int epoll, int fd) {
  ssize_t n = recv(fd, buffer, sizeof buffer, MSG_DONTWAIT);
  if (n <= 0) {
    if (n == 0 || (errno != EAGAIN && errno != EINTR)) close(fd);
    return;
  }
  int is_bulk = held_length[fd] == 0 && n >= 9 && memcmp(buffer, "GET /bulk", 9) == 0;
  int state = held_length[fd];
  static char out[sizeof ANSWER * 64];
  size_t length = 0;
  for (ssize_t at = 0; at < n; at++) {
    char want = state % 2 == 0 ? '\r' : '\n';
    state = buffer[at] == want ? state + 1 : buffer[at] == '\r' ? 1 : 0;
    if (state < 4) continue;
    state = 0;
    if (is_bulk) {
      bulk[fd] = 1;
      send(fd, BULK, sizeof BULK - 1, MSG_NOSIGNAL | MSG_DONTWAIT);
      watch(epoll, fd, EPOLL_CTL_MOD, EPOLLIN | EPOLLOUT, fd);
      origin_pour(fd);
      return;
    }
    memcpy(out + length, ANSWER, sizeof ANSWER - 1);
    length += sizeof ANSWER - 1;
    if (length + sizeof ANSWER > sizeof out) break;
  }
  held_length[fd] = state;
  if (length > 0 && send(fd, out, length, MSG_NOSIGNAL | MSG_DONTWAIT) < 0) close(fd);
}

static void run_origin(const char *host, int port) {
  int epoll = epoll_create1(0);
  int tcp = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0), udp = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK, 0);
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(port)};
  if (inet_pton(AF_INET, host, &address.sin_addr) != 1) errno = EINVAL, die(host);
  set(tcp, SOL_SOCKET, SO_REUSEADDR, 1);
  set(tcp, IPPROTO_TCP, TCP_NODELAY, 1);
  if (bind(tcp, (struct sockaddr *)&address, sizeof address) != 0 || listen(tcp, 4096) != 0) die("listen");
  socklen_t size = sizeof address;
  getsockname(tcp, (struct sockaddr *)&address, &size);
  set(udp, SOL_SOCKET, SO_RCVBUF, 1 << 22);
  if (bind(udp, (struct sockaddr *)&address, sizeof address) != 0) die("bind udp");
  watch(epoll, tcp, EPOLL_CTL_ADD, EPOLLIN, tcp);
  watch(epoll, udp, EPOLL_CTL_ADD, EPOLLIN, udp);
  printf("%d\n", ntohs(address.sin_port));
  fflush(stdout);
  struct epoll_event events[256];
  for (;;) {
    int n = epoll_wait(epoll, events, 256, -1);
    for (int k = 0; k < n; k++) {
      int fd = (int)events[k].data.u64;
      if (fd == tcp) {
        for (int client; (client = accept4(tcp, NULL, NULL, SOCK_NONBLOCK)) >= 0;) {
          if (client >= MAX_CONNECTIONS * 4) { close(client); continue; }
          held_length[client] = 0;
          bulk[client] = 0;
          watch(epoll, client, EPOLL_CTL_ADD, EPOLLIN, client);
        }
      } else if (fd == udp) {
        for (int turns = 0; turns < 64; turns++) {
          struct sockaddr_in from;
          socklen_t length = sizeof from;
          ssize_t got = recvfrom(udp, buffer, sizeof buffer, MSG_DONTWAIT, (struct sockaddr *)&from, &length);
          if (got < 0) break;
          sendto(udp, buffer, got, MSG_DONTWAIT, (struct sockaddr *)&from, length);
        }
      } else if (bulk[fd]) {
        if (events[k].events & (EPOLLERR | EPOLLHUP)) close(fd);
        else origin_pour(fd);
      } else origin_read(epoll, fd);
    }
  }
}

// ---- client

enum { OPENING, METHOD, LOGIN, ASKED, ESTABLISHED, BULKING };
enum { CONNECT, SOCKS5, HTTP, RELAY, UDP } mode;

struct connection {
  int fd, state;
  unsigned got;
  long long began;
};
static struct connection connections[MAX_CONNECTIONS];
static struct sockaddr_in proxy, origin;
static char origin_text[64], user[128], password[128];
static int epoll_fd, concurrency = 1;
static long long *samples, operations, failures, bytes_moved, deadline;
static long long sample_room;
static double rate;
static int next_client;
static char connect_request[1024], http_request[1024], get_request[256], socks_ask[16], login[300];
static int connect_length, http_length, get_length, login_length;

static void sample(long long began) {
  operations++;
  if (operations <= sample_room) samples[operations - 1] = now_ns() - began;
}

static void fail(const char *what) {
  if (failures++ == 0) fprintf(stderr, "load: %s\n", what);
  if (failures > 1000) exit(1);
}

static int say(struct connection *c, const void *bytes, int length) {
  if (send(c->fd, bytes, length, MSG_NOSIGNAL | MSG_DONTWAIT) == length) return 1;
  fail("cannot write");
  return 0;
}

static int idle[MAX_CONNECTIONS], idle_count;

static void open_connection(int index, long long began) {
  struct connection *c = &connections[index];
  c->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
  if (c->fd < 0) die("socket");
  struct sockaddr_in from = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(0x7f030001 + next_client)};
  next_client = (next_client + 1) % CLIENT_ADDRESSES;
  set(c->fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, 1);
  set(c->fd, IPPROTO_TCP, TCP_NODELAY, 1);
  if (bind(c->fd, (struct sockaddr *)&from, sizeof from) != 0) die("bind");
  c->state = OPENING;
  c->got = 0;
  c->began = began;
  if (connect(c->fd, (struct sockaddr *)&proxy, sizeof proxy) != 0 && errno != EINPROGRESS) die("connect");
  watch(epoll_fd, c->fd, EPOLL_CTL_ADD, EPOLLOUT, index);
}

static void again(int index) {
  if (rate > 0) idle[idle_count++] = index;
  else if (now_ns() < deadline) open_connection(index, now_ns());
}

static void over(int index, int good) {
  struct connection *c = &connections[index];
  close(c->fd);
  c->fd = -1;
  if (good) sample(c->began);
  again(index);
}

static void ask_http(struct connection *c) {
  c->got = 0;
  if (!say(c, http_request, http_length)) exit(1);
}

static void opened(int index) {
  struct connection *c = &connections[index];
  int error = 0;
  socklen_t size = sizeof error;
  getsockopt(c->fd, SOL_SOCKET, SO_ERROR, &error, &size);
  if (error != 0) {
    fail("connection refused by the proxy");
    over(index, 0);
    return;
  }
  watch(epoll_fd, c->fd, EPOLL_CTL_MOD, EPOLLIN, index);
  if (mode == CONNECT || mode == RELAY) {
    c->state = ASKED;
    say(c, connect_request, connect_length);
  } else if (mode == HTTP) {
    c->state = ESTABLISHED;
    if (rate > 0) idle[idle_count++] = index;
    else c->began = now_ns(), ask_http(c);
  } else {
    c->state = METHOD;
    char hello[3] = {5, 1, user[0] ? 2 : 0};
    say(c, hello, 3);
  }
}

static void established(int index) {
  struct connection *c = &connections[index];
  c->got = 0;
  if (mode == RELAY) {
    c->state = BULKING;
    say(c, BULK_REQUEST, sizeof BULK_REQUEST - 1);
  } else {
    c->state = ESTABLISHED;
    say(c, get_request, get_length);
  }
}

static void ready(int index) {
  struct connection *c = &connections[index];
  if (c->fd < 0) return;
  if (c->state == OPENING) {
    opened(index);
    return;
  }
  if (c->state == BULKING) {
    for (int turns = 0; turns < 4; turns++) {
      ssize_t n = recv(c->fd, buffer, 4 << 20, MSG_DONTWAIT | MSG_TRUNC);
      if (n <= 0) {
        if (n == 0) fail("the relay ended");
        return;
      }
      bytes_moved += n;
    }
    return;
  }
  ssize_t n = recv(c->fd, buffer, sizeof buffer, MSG_DONTWAIT);
  if (n < 0 && (errno == EAGAIN || errno == EINTR)) return;
  if (n <= 0) {
    fail("closed by the proxy");
    over(index, 0);
    return;
  }
  if (c->state == METHOD) {
    if (n != 2 || buffer[0] != 5 || buffer[1] != (user[0] ? 2 : 0)) { fail("no such SOCKS method"); over(index, 0); return; }
    if (user[0]) c->state = LOGIN, say(c, login, login_length);
    else c->state = ASKED, say(c, socks_ask, 10);
  } else if (c->state == LOGIN) {
    if (n != 2 || buffer[1] != 0) { fail("login refused"); over(index, 0); return; }
    c->state = ASKED;
    say(c, socks_ask, 10);
  } else if (c->state == ASKED && mode == SOCKS5) {
    if (buffer[1] != 0) { fail("SOCKS request refused"); over(index, 0); return; }
    established(index);
  } else if (c->state == ASKED) {
    if (c->got == 0 && (n < 12 || memcmp(buffer + 9, "200", 3) != 0)) { fail("CONNECT refused"); over(index, 0); return; }
    c->got += n;
    if (n >= 4 && memcmp(buffer + n - 4, "\r\n\r\n", 4) == 0) established(index);
  } else {
    if (c->got == 0 && (n < 12 || memcmp(buffer + 9, "200", 3) != 0)) { fail("not 200"); over(index, 0); return; }
    c->got += n;
    // the body is the last thing of an answer, and nothing else in it ends so
    if (n < 3 || memcmp(buffer + n - 3, "ok\n", 3) != 0) return;
    if (mode != HTTP) { over(index, 1); return; }
    sample(c->began);
    if (rate > 0) idle[idle_count++] = index;
    else if (now_ns() < deadline) c->began = now_ns(), ask_http(c);
  }
}

// ---- datagrams through one SOCKS5 association

static int read_exactly(int fd, char *into, int length) {
  for (int got = 0; got < length;) {
    ssize_t n = recv(fd, into + got, length - got, 0);
    if (n <= 0) return 0;
    got += n;
  }
  return 1;
}

static void run_udp(void) {
  int control = socket(AF_INET, SOCK_STREAM, 0), udp = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK, 0);
  struct sockaddr_in relay = {.sin_family = AF_INET}, own = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(0x7f030001)};
  set(control, IPPROTO_TCP, TCP_NODELAY, 1);
  if (bind(control, (struct sockaddr *)&own, sizeof own) != 0) die("bind");
  if (connect(control, (struct sockaddr *)&proxy, sizeof proxy) != 0) die("connect");
  char hello[3] = {5, 1, user[0] ? 2 : 0}, answer[300], ask[10] = {5, 3, 0, 1};
  send(control, hello, 3, 0);
  if (!read_exactly(control, answer, 2) || answer[1] != hello[2]) errno = EPROTO, die("SOCKS method");
  if (user[0]) {
    send(control, login, login_length, 0);
    if (!read_exactly(control, answer, 2) || answer[1] != 0) errno = EPROTO, die("SOCKS login");
  }
  if (bind(udp, (struct sockaddr *)&own, sizeof own) != 0) die("bind udp");
  set(udp, SOL_SOCKET, SO_RCVBUF, 1 << 22);
  socklen_t size = sizeof own;
  getsockname(udp, (struct sockaddr *)&own, &size);
  memcpy(ask + 4, &own.sin_addr, 4);
  memcpy(ask + 8, &own.sin_port, 2);
  send(control, ask, 10, 0);
  if (!read_exactly(control, answer, 10) || answer[1] != 0) errno = EPROTO, die("UDP ASSOCIATE");
  memcpy(&relay.sin_addr, answer + 4, 4);
  memcpy(&relay.sin_port, answer + 8, 2);
  if (relay.sin_addr.s_addr == 0) relay.sin_addr = proxy.sin_addr;
  if (connect(udp, (struct sockaddr *)&relay, sizeof relay) != 0) die("connect udp");
  watch(epoll_fd, udp, EPOLL_CTL_ADD, EPOLLIN, 0);
  char datagram[74] = {0, 0, 0, 1};
  memcpy(datagram + 4, &origin.sin_addr, 4);
  memcpy(datagram + 8, &origin.sin_port, 2);
  int in_flight = 0;
  long long heard = now_ns();
  struct epoll_event event;
  while (now_ns() < deadline) {
    for (; in_flight < concurrency; in_flight++) {
      long long t = now_ns();
      memcpy(datagram + 10, &t, 8);
      if (send(udp, datagram, sizeof datagram, MSG_DONTWAIT) < 0) break;
    }
    if (epoll_wait(epoll_fd, &event, 1, 100) == 0 && now_ns() - heard > 500000000LL) {
      failures += in_flight; // lost
      in_flight = 0;
      heard = now_ns();
    }
    for (ssize_t n; (n = recv(udp, buffer, sizeof buffer, MSG_DONTWAIT)) > 0;) {
      long long t;
      if (n != sizeof datagram) { fail("a datagram of another size"); continue; }
      memcpy(&t, buffer + 10, 8);
      sample(t);
      heard = now_ns();
      if (in_flight > 0) in_flight--;
    }
  }
  close(control);
}

static int by_size(const void *a, const void *b) {
  long long x = *(const long long *)a, y = *(const long long *)b;
  return x < y ? -1 : x > y;
}

static void base64(const char *text, char *out) {
  static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  size_t length = strlen(text);
  for (size_t at = 0; at < length; at += 3) {
    unsigned v = (unsigned char)text[at] << 16;
    if (at + 1 < length) v |= (unsigned char)text[at + 1] << 8;
    if (at + 2 < length) v |= (unsigned char)text[at + 2];
    *out++ = digits[v >> 18];
    *out++ = digits[v >> 12 & 63];
    *out++ = at + 1 < length ? digits[v >> 6 & 63] : '=';
    *out++ = at + 2 < length ? digits[v & 63] : '=';
  }
  *out = 0;
}

static void prepare(void) {
  char field[600] = "", pair[300], encoded[420];
  if (user[0]) {
    snprintf(pair, sizeof pair, "%s:%s", user, password);
    base64(pair, encoded);
    snprintf(field, sizeof field, "Proxy-Authorization: Basic %s\r\n", encoded);
  }
  connect_length = snprintf(connect_request, sizeof connect_request, "CONNECT %s HTTP/1.1\r\nHost: %s\r\n%s\r\n", origin_text, origin_text, field);
  http_length = snprintf(http_request, sizeof http_request, "GET http://%s/ HTTP/1.1\r\nHost: %s\r\nUser-Agent: bench\r\nAccept: */*\r\n%s\r\n", origin_text, origin_text, field);
  get_length = snprintf(get_request, sizeof get_request, "GET / HTTP/1.1\r\nHost: %s\r\n\r\n", origin_text);
  memcpy(socks_ask, "\5\1\0\1", 4);
  memcpy(socks_ask + 4, &origin.sin_addr, 4);
  memcpy(socks_ask + 8, &origin.sin_port, 2);
  login[0] = 1;
  login[1] = strlen(user);
  memcpy(login + 2, user, strlen(user));
  login[2 + strlen(user)] = strlen(password);
  memcpy(login + 3 + strlen(user), password, strlen(password));
  login_length = 3 + strlen(user) + strlen(password);
}

int main(int count, char **arguments) {
  signal(SIGPIPE, SIG_IGN);
  struct rlimit limit;
  getrlimit(RLIMIT_NOFILE, &limit);
  limit.rlim_cur = limit.rlim_max;
  setrlimit(RLIMIT_NOFILE, &limit);
  if (count >= 4 && strcmp(arguments[1], "origin") == 0) run_origin(arguments[2], atoi(arguments[3]));
  if (count < 2) errno = EINVAL, die("usage: load MODE key=value …");
  const char *modes[] = {"connect", "socks5", "http", "relay", "udp"};
  int known = 0;
  for (int k = 0; k < 5; k++)
    if (strcmp(arguments[1], modes[k]) == 0) mode = k, known = 1;
  if (!known) errno = EINVAL, die(arguments[1]);
  double seconds = 1;
  for (int k = 2; k < count; k++) {
    char *value = strchr(arguments[k], '=');
    if (value == NULL) errno = EINVAL, die(arguments[k]);
    *value++ = 0;
    if (strcmp(arguments[k], "proxy") == 0) proxy = address_of(value);
    else if (strcmp(arguments[k], "origin") == 0) origin = address_of(value), snprintf(origin_text, sizeof origin_text, "%s", value);
    else if (strcmp(arguments[k], "seconds") == 0) seconds = atof(value);
    else if (strcmp(arguments[k], "concurrency") == 0) concurrency = atoi(value);
    else if (strcmp(arguments[k], "user") == 0) snprintf(user, sizeof user, "%s", value);
    else if (strcmp(arguments[k], "password") == 0) snprintf(password, sizeof password, "%s", value);
    else if (strcmp(arguments[k], "rate") == 0) rate = atof(value);
    else errno = EINVAL, die(arguments[k]);
  }
  if (concurrency < 1 || concurrency > MAX_CONNECTIONS) errno = EINVAL, die("concurrency");
  prepare();
  sample_room = 20000000;
  samples = malloc(sample_room * sizeof *samples);
  epoll_fd = epoll_create1(0);
  long long started = now_ns(), due = started;
  deadline = started + (long long)(seconds * 1e9);
  if (mode == UDP) run_udp();
  else {
    if (rate > 0 && mode != HTTP) for (int k = 0; k < concurrency; k++) connections[k].fd = -1, idle[idle_count++] = k;
    else for (int k = 0; k < concurrency; k++) open_connection(k, now_ns());
    struct epoll_event events[256];
    while (now_ns() < deadline) {
      long long wait = 20000000LL;
      while (rate > 0) {
        long long now = now_ns();
        if (due > now) { wait = due - now; break; }
        if (idle_count == 0) break; // all are busy; what is due counts from when it was due
        int index = idle[--idle_count];
        if (mode == HTTP) connections[index].began = due, ask_http(&connections[index]);
        else open_connection(index, due);
        due += (long long)(1e9 / rate);
      }
      struct timespec patience = {.tv_nsec = wait > 20000000LL ? 20000000LL : wait};
      int n = epoll_pwait2(epoll_fd, events, 256, &patience, NULL);
      for (int k = 0; k < n; k++) ready((int)events[k].data.u64);
    }
  }
  double took = (now_ns() - started) / 1e9;
  long long kept = operations < sample_room ? operations : sample_room;
  qsort(samples, kept, sizeof *samples, by_size);
#define AT(share) (kept == 0 ? 0 : samples[(long long)((kept - 1) * share)])
  printf("{\"mode\":\"%s\",\"operations\":%lld,\"failures\":%lld,\"seconds\":%.3f,\"bytes\":%lld,\"latency\":{\"p50\":%lld,\"p90\":%lld,\"p99\":%lld,\"p999\":%lld,\"max\":%lld}}\n",
         modes[mode], operations, failures, took, bytes_moved, AT(0.5), AT(0.9), AT(0.99), AT(0.999), AT(1));
  return 0;
}
