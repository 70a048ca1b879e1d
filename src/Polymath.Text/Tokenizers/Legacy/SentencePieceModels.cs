using System.Buffers;
using System.Text;

namespace Polymath.Text;

/// <summary>
/// Turns a normalized text into pieces, as SentencePiece's models do: each with its place and its id, which may be the unknown id.
/// </summary>
internal abstract class SentencePieceModel
{
    private readonly Dictionary<string, int> ids = new(StringComparer.Ordinal);

    /// <summary>A model of a file's pieces.</summary>
    protected SentencePieceModel(SentencePieceFile file, UserDefinedPieces kept)
    {
        (File, Kept) = (file, kept);
        foreach (var (id, piece) in file.Pieces.Index())
        {
            if (piece.Kind is PieceKind.Normal or PieceKind.UserDefined or PieceKind.Unused)
                ids[piece.Text] = id;
            else if (piece.Kind == PieceKind.Unknown)
                Unknown = id;
        }

        Lookup = ids.GetAlternateLookup<ReadOnlySpan<char>>();
    }

    /// <summary>The file.</summary>
    protected SentencePieceFile File { get; }

    /// <summary>The pieces that are kept whole.</summary>
    protected UserDefinedPieces Kept { get; }

    /// <summary>The ids of the pieces that text can become.</summary>
    protected Dictionary<string, int>.AlternateLookup<ReadOnlySpan<char>> Lookup { get; }

    /// <summary>The id of the unknown piece.</summary>
    public int Unknown { get; }

    /// <summary>The model of a file.</summary>
    public static SentencePieceModel Of(SentencePieceFile file, UserDefinedPieces kept) => file.Kind switch
    {
        PieceModelKind.Bpe => new SentencePieceMerging(file, kept),
        PieceModelKind.Word => new SentencePieceWords(file, kept),
        PieceModelKind.Character => new SentencePieceCharacters(file, kept),
        _ => new SentencePieceUnigram(file, kept),
    };

    /// <summary>Appends the pieces of a text, in order.</summary>
    public abstract void Encode(ReadOnlySpan<char> text, List<(int Start, int End, int Id)> into);

    /// <summary>The number of UTF-16 units of the character at a place.</summary>
    protected static int WidthAt(ReadOnlySpan<char> text, int at)
        => char.IsHighSurrogate(text[at]) && at + 1 < text.Length && char.IsLowSurrogate(text[at + 1]) ? 2 : 1;
}

/// <summary>Byte-pair encoding by score: the best pair that makes a piece is merged first, and the leftmost of equally good ones.</summary>
internal sealed class SentencePieceMerging(SentencePieceFile file, UserDefinedPieces kept) : SentencePieceModel(file, kept)
{
    /// <inheritdoc/>
    public override void Encode(ReadOnlySpan<char> text, List<(int Start, int End, int Id)> into)
    {
        var count = 0;
        var (starts, ends) = (new int[text.Length], new int[text.Length]);
        var frozen = new bool[text.Length];
        for (var at = 0; at < text.Length; count++)
        {
            var length = Kept.LengthAt(text, at);
            (starts[count], frozen[count]) = (at, length > 0);
            ends[count] = at += length > 0 ? length : WidthAt(text, at);
        }

        var (previous, next) = (new int[count], new int[count]);
        var queue = new PriorityQueue<(int Left, int Right, int Length), (float, int)>(count);
        Dictionary<string, int>? splits = null;
        for (var i = 0; i < count; i++)
        {
            (previous[i], next[i]) = (i - 1, i + 1 < count ? i + 1 : -1);
            Offer(text, i - 1, i);
        }

        while (queue.TryDequeue(out var top, out _))
        {
            var (left, right, length) = top;
            if (ends[left] == starts[left] || ends[right] == starts[right]
                || ends[left] - starts[left] + ends[right] - starts[right] != length)
                continue;
            ends[left] = ends[right];
            starts[right] = ends[right];
            next[left] = next[right];
            if (next[right] >= 0)
                previous[next[right]] = left;
            Offer(text, previous[left], left);
            Offer(text, left, next[left]);
        }

        for (var i = count > 0 ? 0 : -1; i >= 0; i = next[i])
            Add(
                text,
                starts[i],
                ends[i],
                splits,
                into);

        void Offer(ReadOnlySpan<char> from, int left, int right)
        {
            if (left < 0 || right < 0 || frozen[left] || frozen[right] || !Lookup.TryGetValue(from[starts[left]..ends[right]], out var id))
                return;
            queue.Enqueue((left, right, ends[right] - starts[left]), (-File.Pieces[id].Score, left));
            // An unused piece is split again, in reverse order of its merges.
            if (File.Pieces[id].Kind == PieceKind.Unused)
                (splits ??= new(StringComparer.Ordinal))[File.Pieces[id].Text] = ends[left] - starts[left];
        }
    }

    private void Add(
        ReadOnlySpan<char> text,
        int start,
        int end,
        Dictionary<string, int>? splits,
        List<(int Start, int End, int Id)> into)
    {
        if (!Lookup.TryGetValue(text[start..end], out var id))
            id = Unknown;
        if (id != Unknown && File.Pieces[id].Kind == PieceKind.Unused
            && splits is not null && splits.TryGetValue(File.Pieces[id].Text, out var length))
        {
            Add(
                text,
                start,
                start + length,
                splits,
                into);
            Add(
                text,
                start + length,
                end,
                splits,
                into);
            return;
        }

        into.Add((start, end, id));
    }
}

/// <summary>
/// The unigram model with SentencePiece's own arithmetic: sums are in 32 bits, and pieces that are kept whole win over all others.
/// </summary>
internal sealed class SentencePieceUnigram : SentencePieceModel
{
    private readonly TokenTrie trie = new();
    private readonly int[] values;
    private readonly float[] scores;
    private readonly bool[] kept;
    private readonly float most, unknownScore;

    public SentencePieceUnigram(SentencePieceFile file, UserDefinedPieces kept)
        : base(file, kept)
    {
        foreach (var (id, piece) in file.Pieces.Index())
        {
            // An unused piece is known, but never produced.
            if (piece.Kind is PieceKind.Normal or PieceKind.UserDefined)
                trie.Add(piece.Text, id);
        }

        values = trie.Values();
        (this.scores, this.kept) =
            ([.. file.Pieces.Select(piece => piece.Score)], [.. file.Pieces.Select(piece => piece.Kind == PieceKind.UserDefined)]);
        var scores = file.Pieces.Where(piece => piece.Kind == PieceKind.Normal).Select(piece => piece.Score).DefaultIfEmpty(0).ToList();
        (most, unknownScore) = (scores.Max(), scores.Min() - (float)UnigramModel.UnknownPenalty);
    }

    /// <inheritdoc/>
    public override void Encode(ReadOnlySpan<char> text, List<(int Start, int End, int Id)> into)
    {
        var scores = ArrayPool<float>.Shared.Rent(text.Length + 1);
        var (ids, starts) = (ArrayPool<int>.Shared.Rent(text.Length + 1), ArrayPool<int>.Shared.Rent(text.Length + 1));
        Search(text, scores, ids, starts);
        var first = into.Count;
        for (var end = text.Length; end > 0; end = starts[end])
            into.Add((starts[end], end, ids[end]));
        into.Reverse(first, into.Count - first);
        ArrayPool<float>.Shared.Return(scores);
        ArrayPool<int>.Shared.Return(ids);
        ArrayPool<int>.Shared.Return(starts);
    }

    private void Search(ReadOnlySpan<char> text, float[] scores, int[] ids, int[] starts)
    {
        Array.Fill(starts, -1, 0, text.Length + 1);
        scores[0] = 0;
        for (int at = 0, width; at < text.Length; at += width)
        {
            width = WidthAt(text, at);
            var single = false;
            var node = TokenTrie.Root;
            for (var end = at; end < text.Length;)
            {
                node = trie.Next(node, text[end++]);
                if (node <= 0)
                    break;
                var id = values[node];
                if (id < 0)
                    continue;
                var own = kept[id] ? Encoding.UTF8.GetByteCount(text[at..end]) * most - 0.1 : this.scores[id];
                Offer(end, (float)(own + scores[at]), id, at);
                single |= end - at == width;
            }

            if (!single)
                Offer(at + width, unknownScore + scores[at], Unknown, at);
        }

        void Offer(int end, float score, int id, int start)
        {
            if (starts[end] < 0 || score > scores[end])
                (scores[end], ids[end], starts[end]) = (score, id, start);
        }
    }
}

/// <summary>One piece per word; the sign for a space separates words.</summary>
internal sealed class SentencePieceWords(SentencePieceFile file, UserDefinedPieces kept) : SentencePieceModel(file, kept)
{
    /// <inheritdoc/>
    public override void Encode(ReadOnlySpan<char> text, List<(int Start, int End, int Id)> into)
    {
        for (int at = 0, end; at < text.Length; at = end)
        {
            var next = text[(at + 1)..].IndexOf('\u2581');
            end = next < 0 ? text.Length : at + 1 + next;
            if (File.SpaceEndsWord)
                end = text[at..].IndexOf('\u2581') is >= 0 and var sign ? at + sign + 1 : text.Length;
            into.Add((at, end, Lookup.TryGetValue(text[at..end], out var id) ? id : Unknown));
        }
    }
}

/// <summary>One piece a character.</summary>
internal sealed class SentencePieceCharacters(SentencePieceFile file, UserDefinedPieces kept) : SentencePieceModel(file, kept)
{
    /// <inheritdoc/>
    public override void Encode(ReadOnlySpan<char> text, List<(int Start, int End, int Id)> into)
    {
        for (int at = 0, end; at < text.Length; at = end)
        {
            end = at + (Kept.LengthAt(text, at) is > 0 and var length ? length : WidthAt(text, at));
            into.Add((at, end, Lookup.TryGetValue(text[at..end], out var id) ? id : Unknown));
        }
    }
}
