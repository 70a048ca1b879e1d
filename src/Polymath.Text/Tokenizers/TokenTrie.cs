using System.Numerics;

namespace Polymath.Text;

/// <summary>
/// Tokens by their characters: finds every token that starts at a place in one walk. Children are stored in one open hash table.
/// </summary>
internal sealed class TokenTrie
{
    private readonly int[] roots = new int[char.MaxValue + 1];
    private readonly List<int> values = [-1];
    private ulong[] keys = new ulong[1 << 12];
    private int[] children = new int[1 << 12];
    private int used;

    /// <summary>The root node.</summary>
    public const int Root = 0;

    /// <summary>Adds a token; the later of two equal ones counts.</summary>
    public void Add(ReadOnlySpan<char> token, int value)
    {
        var node = Root;
        foreach (var unit in token)
        {
            var next = Next(node, unit);
            if (next <= 0)
            {
                next = values.Count;
                values.Add(-1);
                Link(node, unit, next);
            }

            node = next;
        }

        values[node] = value;
    }

    /// <summary>The tokens' values by node, -1 where no token ends; to be read after all tokens are added.</summary>
    public int[] Values() => [.. values];

    /// <summary>The node after a character; 0 or less when no token continues with it.</summary>
    public int Next(int node, char unit)
    {
        if (node == Root)
            return roots[unit];
        var key = Key(node, unit);
        var keys = this.keys;
        var mask = keys.Length - 1;
        for (var slot = Slot(key, keys.Length); ; slot = (slot + 1) & mask)
        {
            var found = keys[slot];
            if (found == key)
                return children[slot];
            if (found == 0)
                return 0;
        }
    }

    private void Link(int node, char unit, int child)
    {
        if (node == Root)
        {
            roots[unit] = child;
            return;
        }

        if (2 * ++used > keys.Length)
            Grow();
        Place(Key(node, unit), child);
    }

    private void Place(ulong key, int child)
    {
        var slot = Slot(key, keys.Length);
        while (keys[slot] != 0)
            slot = (slot + 1) & (keys.Length - 1);
        (keys[slot], children[slot]) = (key, child);
    }

    private void Grow()
    {
        var (keys, children) = (this.keys, this.children);
        (this.keys, this.children) = (new ulong[2 * keys.Length], new int[2 * keys.Length]);
        for (var i = 0; i < keys.Length; i++)
        {
            if (keys[i] != 0)
                Place(keys[i], children[i]);
        }
    }

    // A node other than the root is at least 1, so that no key is 0.
    private static ulong Key(int node, char unit) => (ulong)(uint)node << 16 | unit;

    private static int Slot(ulong key, int size) => (int)(key * 0x9E3779B97F4A7C15UL >> 64 - BitOperations.Log2((uint)size));
}
