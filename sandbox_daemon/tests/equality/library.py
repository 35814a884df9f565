"""Expressions over the standard library, by module, in which the module is `m`."""
# ruff: noqa: E501  (an expression is not broken)

from __future__ import annotations


def using(module: str, *texts: str) -> list[str]:
    """Expressions in which `m` is the module."""
    return [f"(lambda m: ({text}))(__import__({module!r}, fromlist=['x']))" for text in texts]


LIBRARY = [
    *using(
        "math",
        "m.sqrt(2), m.pi, m.e, m.inf, m.floor(-2.5), m.ceil(2.1), m.trunc(-2.7), m.factorial(30)",
        "m.gcd(12, 18, 30), m.lcm(4, 6), m.comb(40, 20), m.perm(5, 2), m.isqrt(10 ** 21), m.prod([1, 2.5])",
        "m.sin(1), m.atan2(1, -1), m.hypot(3, 4, 12), m.degrees(1), m.log(10, 2), m.log1p(1e-10), m.exp(2)",
        "m.fsum([0.1] * 10), m.modf(-2.5), m.frexp(10.0), m.ldexp(0.5, 3), m.copysign(1, -0.0), m.fmod(-7, 3)",
        "m.gamma(5.5), m.lgamma(100), m.erf(0.5), m.dist((0, 0), (1, 1)), m.nextafter(1, 2), m.ulp(1.0)",
        "m.isclose(0.1 + 0.2, 0.3), m.isnan(m.nan), m.cbrt(27), m.exp2(0.5), m.remainder(5, 3)",
    ),
    *using(
        "cmath",
        "m.sqrt(-1), m.exp(1j * m.pi), m.phase(-1 - 0j), m.polar(1j), m.isinf(complex('inf'))",
    ),
    *using(
        "statistics",
        "m.mean([1, 2, 4]), m.median([3, 1, 2, 5]), m.mode('aab'), m.pstdev([1, 2, 3]), m.variance([1, 2, 4])",
        "m.quantiles(range(10), n=4), m.harmonic_mean([40, 60]), m.multimode('aabb'), m.correlation([1, 2, 3], [3, 2, 2])",
        "m.NormalDist(0, 1).cdf(1.5), m.linear_regression([1, 2, 3], [2, 4, 7])[0], m.fmean([1, 2], [3, 1])",
    ),
    *using(
        "fractions",
        "str(m.Fraction(3, 9) + m.Fraction('0.25')), m.Fraction(0.1).limit_denominator(10).denominator",
        "m.Fraction(7, 3).__floor__(), float(m.Fraction(1, 3)), str(m.Fraction(-5, 10) ** 3)",
    ),
    *using(
        "decimal",
        "str(m.Decimal(1) / 7), str(m.Decimal('0.1') + m.Decimal('0.2')), str(m.Decimal('1E+5').normalize())",
        "str(m.Decimal('2.675').quantize(m.Decimal('0.01'))), m.Decimal('-1.50').as_tuple()[1], str(m.Decimal(2).sqrt())",
        "str(m.Context(prec=5).divide(1, 3)), str(m.Decimal('NaN')), m.Decimal('1.1') == 1.1, int(m.Decimal('9.9'))",
    ),
    *using(
        "itertools",
        "list(m.chain('ab', [1])), list(m.accumulate([1, 2, 3], lambda a, b: a * b)), list(m.islice(m.count(5, 2), 3))",
        "list(m.combinations('abc', 2)), list(m.permutations([1, 2, 3], 2)), list(m.product('ab', repeat=2))",
        "[(k, list(g)) for k, g in m.groupby('aabbba')], list(m.zip_longest([1], 'ab', fillvalue=0)), list(m.pairwise('abc'))",
        "list(m.takewhile(bool, [1, 0, 1])), list(m.dropwhile(bool, [1, 0, 1])), list(m.compress('abc', [1, 0, 1]))",
        "list(m.combinations_with_replacement('ab', 2)), list(m.starmap(pow, [(2, 3)])), list(m.filterfalse(None, [0, 1]))",
        "[list(t) for t in m.tee([1, 2])], list(m.islice(m.cycle('ab'), 5)), list(m.repeat(7, 2))",
    ),
    *using(
        "functools",
        "m.reduce(lambda a, b: a - b, [1, 2, 3], 10), m.partial(int, base=2)('101'), sorted('bca', key=m.cmp_to_key(lambda a, b: (a < b) - (a > b)))",
        "m.wraps(len)(lambda x: x).__name__, m.singledispatch(lambda x: 'any')(1), m.partial(print, 1).args",
    ),
    *using(
        "collections",
        "m.Counter('abracadabra').most_common(2), dict(m.Counter('aab') - m.Counter('ab')), sorted(m.Counter('ba').elements())",
        "list(m.deque([1, 2, 3], maxlen=2)), (lambda d: (d.rotate(1), d.appendleft(0), list(d))[-1])(m.deque('abc'))",
        "dict(m.ChainMap({'a': 1}, {'a': 2, 'b': 3})), m.namedtuple('P', 'x y')(1, 2)._asdict(), (lambda d: (d['x'].append(1), dict(d))[-1])(m.defaultdict(list))",
        "(lambda o: (o.move_to_end('a'), list(o))[-1])(m.OrderedDict(a=1, b=2)), tuple(m.namedtuple('P', 'x')(1))",
    ),
    *using(
        "re",
        "m.findall(r'(\\w)(\\d)', 'a1 b2'), m.sub(r'(?P<x>a+)', r'<\\g<x>>', 'baac'), m.split(r'[,;]\\s*', 'a, b;c')",
        "m.match(r'(\\d+)(?:\\.(\\d*))?', '3.14').groups(), m.search(r'(?<=a)b(?!c)', 'abcab').span(), m.escape('a.b')",
        "m.fullmatch(r'(?i)HELLO', 'hello') is not None, m.sub('x*', '-', 'abxd'), [x.start() for x in m.finditer('a', 'banana')]",
        "m.compile('(a)(?P<n>b)?').match('a').groupdict(), m.subn('a', lambda x: x[0].upper(), 'aba'), m.findall(r'\\bé\\w*', 'été éa')",
    ),
    *using(
        "json",
        "m.dumps({'a': [1, 2.5, None, True, 'é']}), m.loads('[1, -2.5e3, {\"k\": null}, \"\\\\u00e9\"]')",
        "m.dumps({'b': 1, 'a': float('nan')}, sort_keys=True, indent=1), m.loads('1e400'), m.dumps('\\u2028', ensure_ascii=False)",
        "m.loads('{\"a\": 1,}')",
        "m.loads('1', parse_int=float), m.dumps((1, 2), separators=(',', ':')), m.loads('[NaN, Infinity]')",
    ),
    *using(
        "string",
        "m.ascii_letters, m.punctuation, m.capwords('a bc'), m.Template('$x ${y} $$').substitute(x=1, y=2), m.hexdigits",
        "list(m.Formatter().parse('a{b!r:c}d')), m.Template('$z').safe_substitute()",
    ),
    *using(
        "textwrap",
        "m.wrap('the quick brown fox jumps', 10), m.fill('a b c', 3), m.dedent('  a\\n   b'), m.shorten('hello big world', 12)",
        "m.indent('a\\nb', '> ')",
    ),
    *using(
        "difflib",
        "m.get_close_matches('appel', ['ape', 'apple']), m.SequenceMatcher(None, 'abcd', 'bcde').ratio(), list(m.ndiff(['a'], ['b']))",
    ),
    *using(
        "unicodedata",
        "m.name('é'), m.normalize('NFD', 'é'), m.category('A'), m.lookup('SNOWMAN'), m.decimal('٣'), m.east_asian_width('漢')",
    ),
    *using(
        "datetime",
        "str(m.date(2024, 2, 29) + m.timedelta(366)), m.date(2024, 1, 1).isocalendar()[1], (m.date(2024, 3, 1) - m.date(2024, 2, 1)).days",
        "m.datetime(2024, 5, 6, 7, 8, 9).strftime('%Y-%j %H:%M:%S %a %b'), m.datetime.fromisoformat('2024-01-02T03:04:05+02:00').isoformat()",
        "str(m.timedelta(days=-1, hours=3)), m.datetime.strptime('01/02/03', '%d/%m/%y').year, m.datetime(2000, 1, 1, tzinfo=m.timezone.utc).timestamp()",
        "m.timedelta(seconds=1.5) / m.timedelta(milliseconds=250), m.date.max.toordinal(), m.time(1, 2).isoformat()",
    ),
    *using(
        "calendar",
        "tuple(map(int, m.monthrange(2024, 2))), m.isleap(1900), m.monthcalendar(2024, 2)[0], m.month_name[3], m.month(2024, 2)",
    ),
    *using(
        "bisect",
        "m.bisect([1, 2, 2, 3], 2), m.bisect_left([1, 2, 2, 3], 2), (lambda x: (m.insort(x, 2), x)[-1])([1, 3])",
    ),
    *using(
        "heapq",
        "m.nlargest(2, [3, 1, 2]), m.nsmallest(2, 'bca'), list(m.merge([1, 4], [2, 3])), (lambda x: (m.heapify(x), m.heappop(x), x))([3, 1, 2])",
    ),
    *using(
        "operator",
        "m.itemgetter(1, 0)('ab'), m.attrgetter('real')(1), m.methodcaller('upper')('a'), m.floordiv(7, 2), m.concat([1], [2])",
    ),
    *using(
        "struct",
        "m.pack('<ihb', 1, -2, 3), m.unpack('>Hf', b'\\0\\1\\x3f\\x80\\0\\0'), m.calcsize('=iq'), list(m.iter_unpack('<H', b'abcd'))",
    ),
    *using(
        "array",
        "m.array('i', [1, 2]).tolist(), m.array('d', [0.5]).tobytes(), m.array('b', b'ab').itemsize",
    ),
    *using(
        "hashlib",
        "m.sha256(b'a').hexdigest(), m.md5(b'').digest(), m.blake2b(b'x', digest_size=8).hexdigest(), m.sha3_224(b'').hexdigest()",
        "m.pbkdf2_hmac('sha1', b'p', b's', 10).hex()",
    ),
    *using("hmac", "m.new(b'k', b'm', 'sha256').hexdigest(), m.compare_digest('a', 'a')"),
    *using(
        "zlib",
        "m.crc32(b'hello'), m.adler32(b'hello'), m.decompress(m.compress(b'a' * 1000)) == b'a' * 1000",
    ),
    *using("bz2", "m.decompress(m.compress(b'abc' * 99))[:6]"),
    *using("lzma", "m.decompress(m.compress(b'abc' * 99))[-3:]"),
    *using("gzip", "m.decompress(m.compress(b'abc', mtime=0)), m.compress(b'', mtime=0)[:4]"),
    *using(
        "base64",
        "m.b64encode(b'\\xff\\xfe'), m.urlsafe_b64decode('_-4='), m.b32encode(b'a'), m.a85encode(b'abcd'), m.b16decode('FF')",
    ),
    *using(
        "binascii",
        "m.hexlify(b'ab', ':'), m.crc_hqx(b'a', 0), m.unhexlify('00ff'), m.b2a_uu(b'abc')",
        "m.unhexlify('xyz')",
    ),
    *using(
        "codecs",
        "m.encode('abc', 'rot13'), m.decode(b'616263', 'hex'), m.BOM_UTF8, m.encode('é', 'cp1252')",
    ),
    *using(
        "random",
        "(lambda r: (r.random(), r.randint(1, 9), r.sample(range(9), 3), r.gauss(0, 1), r.choices('ab', k=3)))(m.Random(7))",
        "(lambda r, x: (r.shuffle(x), x, r.getrandbits(70), r.uniform(1, 2), r.betavariate(1, 2)))(m.Random('seed'), [1, 2, 3])",
    ),
    *using("copy", "m.deepcopy([1, {2: (3, [4])}]), m.copy({1: []})"),
    *using("pprint", "m.pformat({'b': list(range(30)), 'a': 'x' * 90}), m.saferepr([1])"),
    *using(
        "ast",
        "m.literal_eval('[1, {2: (3,)}]'), m.dump(m.parse('a + 1', mode='eval')), m.unparse(m.parse('x=1;y  = [ 2]'))",
    ),
    *using("tokenize", "[t.string for t in m.tokenize(iter([b'a = 1', b'']).__next__)]"),
    *using("keyword", "m.iskeyword('if'), m.softkwlist[:1], len(m.kwlist)"),
    *using(
        "inspect",
        "str(m.signature(lambda a, b=1, *c, d, **e: 0)), m.isfunction(len), m.cleandoc('  a\\n  b')",
    ),
    *using(
        "io",
        "m.StringIO('a\\nb').readlines(), m.BytesIO(b'abc').read(2), m.TextIOWrapper(m.BytesIO(b'\\xc3\\xa9'), 'utf-8').read()",
    ),
    *using(
        "csv",
        "list(m.reader(['a,\"b,c\"', '1,2'])), list(m.DictReader(['x,y', '1,2'])), m.Sniffer().sniff('a;b').delimiter",
    ),
    *using(
        "configparser",
        "(lambda c: (c.read_string('[s]\\na = 1\\nb = %(a)s2'), c['s']['b'], c.getint('s', 'a'))[1:])(m.ConfigParser())",
    ),
    *using("tomllib", "m.loads('a = 1\\n[b]\\nc = [1.5, \"x\"]'), m.loads('x = 0x1F')"),
    *using(
        "xml.etree.ElementTree",
        "m.tostring(m.fromstring('<a b=\"1\"><c>x</c></a>')), m.fromstring('<a><b/></a>')[0].tag",
    ),
    *using("html", "m.escape('<a b=\"c\">&'), m.unescape('&eacute;&#65;&lt;')"),
    *using(
        "urllib.parse",
        "m.quote('a b/é'), m.urlsplit('http://u@h:1/p?q=1#f').port, m.parse_qs('a=1&a=2&b='), m.urljoin('http://a/b/c', '../d')",
        "m.urlencode({'a b': 'é', 'c': 1}), m.unquote_plus('a+b%20c')",
    ),
    *using(
        "ipaddress",
        "str(m.ip_network('10.0.0.0/30').broadcast_address), m.ip_address('::1').is_loopback, len(list(m.ip_network('10.0.0.0/29').hosts()))",
        "m.ip_address('300.1.1.1')",
    ),
    *using(
        "uuid",
        "str(m.uuid5(m.NAMESPACE_DNS, 'python.org')), m.UUID(int=5).hex, str(m.uuid3(m.NAMESPACE_URL, 'x'))",
    ),
    *using("colorsys", "m.rgb_to_hsv(0.2, 0.4, 0.6), m.hls_to_rgb(0.5, 0.25, 0.75)"),
    *using(
        "fnmatch",
        "m.filter(['a.py', 'b.txt'], '*.py'), m.translate('a?[!b]'), m.fnmatchcase('A', 'a')",
    ),
    *using(
        "shlex", "m.split('a \"b c\" \\'d\\' e\\\\ f'), m.quote(\"it's\"), m.join(['a', 'b c'])"
    ),
    *using(
        "posixpath",
        "m.join('a', '/b', 'c'), m.normpath('a/../b//c/.'), m.splitext('x.tar.gz'), m.relpath('/a/b', '/a/c'), m.commonpath(['/a/b', '/a/c'])",
    ),
    *using(
        "pathlib",
        "str(m.PurePosixPath('/a/b.c').with_suffix('.d')), m.PurePath('a/b').parts, m.PureWindowsPath('c:/x').drive, m.PurePosixPath('a/b/c').match('b/*')",
    ),
    *using(
        "types",
        "m.SimpleNamespace(a=1).a, m.MappingProxyType({1: 2})[1], m.FunctionType.__name__, m.GenericAlias(list, int).__args__[0].__name__",
    ),
    *using(
        "typing",
        "str(m.Optional[int]), m.get_args(dict[str, int])[0].__name__, m.get_type_hints(lambda: 0), str(m.Union[int, str])",
    ),
    *using(
        "numbers",
        "isinstance(1, m.Integral), isinstance(1.5, m.Rational), issubclass(complex, m.Number)",
    ),
    *using("abc", "m.ABC.__name__, getattr(m.abstractmethod(lambda: 0), '__isabstractmethod__')"),
    *using("weakref", "m.ref(type('T', (), {}))() is None, len(m.WeakValueDictionary())"),
    *using(
        "graphlib",
        "list(m.TopologicalSorter({3: [2], 2: [1]}).static_order())",
        "m.TopologicalSorter({1: [2], 2: [1]}).prepare()",
    ),
    *using(
        "contextlib",
        "m.nullcontext(5).__enter__(), m.suppress(KeyError).__exit__(KeyError, KeyError(), None)",
    ),
    *using(
        "pickle",
        "m.loads(m.dumps([1, {'a': (2.5, b'x')}])), m.dumps(None, 4), m.loads(b'N.')",
        "m.loads(b'')",
    ),
    *using("marshal", "m.loads(m.dumps((1, 'a', None, 2.5)))"),
    *using("secrets", "m.compare_digest(b'a', b'b'), len(m.token_bytes(5))"),
    *using("locale", "m.strxfrm('a'), m.str(1.5)"),
    *using("gettext", "m.ngettext('one', 'many', 2)"),
    *using(
        "email.utils",
        "m.parseaddr('A <a@b.c>'), m.formataddr(('é', 'a@b.c')), m.parsedate('Mon, 20 Nov 1995 19:12:08')[:3]",
    ),
    *using("quopri", "m.encodestring(b'a=\\xe9'), m.decodestring(b'=C3=A9')"),
    *using("stringprep", "m.in_table_a1('\\u0221'), m.map_table_b3('ß')"),
    *using("encodings.idna", "m.ToASCII('bücher'), m.ToUnicode('xn--bcher-kva')"),
    *using("sched", "m.Event._fields[:2]"),
    *using("reprlib", "m.repr(list(range(99))), m.Repr().repr('x' * 99)"),
    *using("linecache", "m.getline('/none', 1)"),
    *using("dis", "m.opname[100] != '', m.stack_effect(m.opmap['POP_TOP'])"),
    *using(
        "sqlite3",
        "m.connect(':memory:').execute('select 1 + 1, upper(?), null, 2.5', ['x']).fetchone()",
    ),
    *using("timeit", "m.default_number"),
    *using("errno", "m.ENOENT, m.errorcode[13]"),
    *using("signal", "m.SIGTERM.value, m.Signals(9).name"),
    *using("stat", "m.filemode(0o100644), m.S_ISDIR(0o040755)"),
    *using("getopt", "m.getopt(['-a', '-b', '1', 'x'], 'ab:')"),
    *using(
        "argparse",
        "vars((lambda p: (p.add_argument('-n', type=int), p.parse_args(['-n', '5']))[1])(m.ArgumentParser()))",
    ),
    *using("optparse", "m.OptionParser().parse_args(['x'])[1]"),
    *using(
        "logging",
        "m.getLevelName(20), m.Formatter('%(message)s').format(m.makeLogRecord({'msg': 'a%d', 'args': (1,)}))",
    ),
    *using("traceback", "m.format_exception_only(ValueError, ValueError('x'))"),
    *using("warnings", "m.formatwarning('x', UserWarning, 'f', 1, '')"),
    *using(
        "sys",
        "m.maxsize, m.byteorder, m.float_info.dig, m.int_info.bits_per_digit, m.hash_info.width, m.getrecursionlimit()",
        "m.version_info[:3], m.flags.utf8_mode, m.implementation.name, m.maxunicode",
    ),
]
