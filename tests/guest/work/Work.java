// SPDX-License-Identifier: Apache-2.0
// Work for HotSpot's compilers: each line must be what the same program prints on the host. Inline
// caches are patched, methods deoptimized when classes appear, and threads stopped at safe points.
import java.math.BigInteger;
import java.security.MessageDigest;
import java.util.*;
import java.util.concurrent.*;
import java.util.regex.*;
import java.util.stream.*;

public class Work {
	interface Shape { double area(); }
	record Square(double s) implements Shape { public double area() { return s * s; } }
	record Circle(double r) implements Shape { public double area() { return 3 * r * r; } }
	record Box(double w, double h) implements Shape { public double area() { return w * h; } }
	record Named(String n) implements Shape { public double area() { return n.length(); } }

	static void say(String name, Object value) { System.out.println("java " + name + ": " + value); }
	static int fib(int n) { return n < 2 ? n : fib(n - 1) + fib(n - 2); }
	static double total(List<Shape> l) { double s = 0; for (Shape x : l) s += x.area(); return s; }
	static String hex(byte[] b) { return new BigInteger(1, b).toString(16); }

	static long work(int seed) {
		long h = seed;
		int[] v = new int[2000];
		Random r = new Random(seed);
		for (int k = 0; k < 40; k++) {
			for (int i = 0; i < v.length; i++) v[i] = r.nextInt();
			Arrays.sort(v);
			for (int x : v) h = h * 31 + x;
			Object[] junk = new Object[200];
			for (int i = 0; i < junk.length; i++) junk[i] = new int[i];
			h += junk.length;
		}
		return h;
	}

	public static void main(String[] args) throws Exception {
		say("fib", fib(30));
		List<Shape> l = new ArrayList<>();
		double s = 0;
		for (int i = 0; i < 2000; i++) l.add(new Square(i));
		for (int i = 0; i < 300; i++) s += total(l);
		for (int i = 0; i < 500; i++) l.add(new Circle(i));
		for (int i = 0; i < 300; i++) s += total(l);
		for (int i = 0; i < 500; i++) { l.add(new Box(i, 2)); l.add(new Named("n" + i)); }
		for (int i = 0; i < 300; i++) s += total(l);
		say("shapes", s);
		MessageDigest d = MessageDigest.getInstance("SHA-256");
		byte[] block = new byte[100000];
		new Random(7).nextBytes(block);
		for (int i = 0; i < 20; i++) block[i] ^= d.digest(block)[i];
		say("sha", hex(d.digest(block)));
		BigInteger b = BigInteger.ONE;
		for (int i = 2; i < 2000; i++) b = b.multiply(BigInteger.valueOf(i)).add(BigInteger.TEN);
		say("bigint", hex(d.digest(b.toByteArray())) + " " + BigInteger.TWO.modPow(b, BigInteger.TEN.pow(40)));
		double m = 0;
		for (int i = 1; i < 300000; i++) m += StrictMath.sin(i) + Math.sqrt(i) / (i & 7 | 1) + Math.fma(i, 0.1, m % 3);
		say("math", m);
		int[][] g = new int[200][200];
		for (int k = 0; k < 50; k++)
			for (int y = 1; y < 199; y++)
				for (int x = 1; x < 199; x++)
					g[y][x] = (g[y - 1][x] * 3 + g[y][x - 1] * 5 + g[y + 1][x + 1] + x * y + k) & 0xffff;
		say("grid", Arrays.stream(g).flatMapToInt(Arrays::stream).asLongStream().sum());
		StringBuilder text = new StringBuilder();
		Random r = new Random(3);
		for (int i = 0; i < 40000; i++) text.append(Integer.toString(r.nextInt(46656), 36)).append(i % 10 == 0 ? '\n' : ' ');
		Matcher mt = Pattern.compile("\\b([a-m]+)(\\d+)\\b").matcher(text);
		long found = 0;
		while (mt.find()) found += mt.group(1).length() * Long.parseLong(mt.group(2));
		say("regex", found);
		Map<String, Long> count = Arrays.stream(text.toString().split("\\s+"))
			.collect(Collectors.groupingBy(w -> w.substring(0, Math.min(2, w.length())), TreeMap::new, Collectors.counting()));
		say("streams", count.hashCode() + " " + count.size());
		ExecutorService pool = Executors.newFixedThreadPool(4);
		List<Future<Long>> f = new ArrayList<>();
		for (int i = 0; i < 16; i++) { int k = i; f.add(pool.submit(() -> work(k))); }
		long h = 0;
		for (Future<Long> x : f) h = h * 17 + x.get();
		pool.shutdown();
		say("threads", h);
		int caught = 0;
		Object[] none = new Object[3];
		for (int i = 0; i < 200000; i++)
			try { none[i % 5].hashCode(); } catch (NullPointerException e) { caught++; } catch (ArrayIndexOutOfBoundsException e) { caught += 3; }
		say("exceptions", caught);
	}
}
