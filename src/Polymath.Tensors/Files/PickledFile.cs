using System.Buffers.Binary;
using Polymath.Recipes;

namespace Polymath.Tensors.Files;

/// <summary>
/// A file that <c>torch.save</c> wrote (<c>.bin</c>, <c>.pt</c>, <c>.pth</c>): a zip archive since PyTorch 1.6, a sequence of pickles
/// before. Its pickle is read by a reader that knows only tensors and plain containers, so opening a file runs no code from it.
/// </summary>
public sealed unsafe class PickledFile : WeightFile
{
    // The pickle of a model with thousands of tensors has some hundred kilobytes; the tensors themselves are stored outside it.
    private const int LongestPickle = 64 << 20;

    private static readonly Int128 magic = new(0x1950, 0xa86a20f9469cfc6c);

    // The keys under which training scripts save the weights together with other data.
    private static readonly string[] wrappers = ["state_dict", "model_state_dict", "model", "module"];

    private PickledFile(
        string path,
        IReadOnlyDictionary<string, WeightEntry> entries,
        MappedPages pages,
        IReadOnlyDictionary<string, double>? numbers = null)
        : base(path, entries, pages) => Numbers = numbers ?? new Dictionary<string, double>();

    /// <summary>The plain numbers of a file of nested containers, by their paths.</summary>
    public IReadOnlyDictionary<string, double> Numbers { get; }

    /// <summary>Whether a file begins like those of <c>torch.save</c>.</summary>
    /// <param name="path">The file.</param>
    public static bool Begins(string path)
    {
        try
        {
            using var stream = new FileStream(path, FileMode.Open, FileAccess.Read, FileShare.ReadWrite | FileShare.Delete);
            Span<byte> start = stackalloc byte[8];
            if (stream.ReadAtLeast(start, start.Length, throwOnEndOfStream: false) < 4) return IsNamedSo(path);
            // A pickle starts with its protocol; a safetensors file starts with a length in eight bytes, which end with zeros.
            return start.StartsWith("PK"u8) || start[0] == 0x80 && start[1] is >= 2 and <= 5 && start[7] != 0 || IsNamedSo(path);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new InputException($"{path} cannot be read: {e.Message} Check the path, or fetch the file again.", e);
        }
    }

    private static bool IsNamedSo(string path) => System.IO.Path.GetExtension(path) is ".bin" or ".pt" or ".pth";

    /// <summary>Opens a file and checks every tensor against its storage, every storage against the file.</summary>
    /// <param name="path">The file.</param>
    /// <exception cref="InputException">The file is missing or damaged, or its pickle contains more than tensors.</exception>
    public static PickledFile Open(string path) => Open(path, (root, fault) => (Tensors(root, fault), null));

    /// <summary>
    /// Opens a file of nested dictionaries and lists, such as an optimizer's state: a tensor is named by its path, <c>state.0.exp_avg</c>.
    /// </summary>
    /// <param name="path">The file.</param>
    /// <exception cref="InputException">The file is missing or damaged, or its pickle contains more than tensors, numbers and
    /// containers.</exception>
    public static PickledFile OpenNested(string path) => Open(path, PickledTree.Flatten);

    private static PickledFile Open(
        string path,
        Func<object?, Func<string, InputException>,
            (List<(string Name, PickledTensor Tensor)> Tensors, Dictionary<string, double>? Numbers)> contents)
    {
        InputException Fault(string what) => new($"{path} is not a file of tensors that can be read: {what}. Get the file again from a "
            + "source you trust, or the model's safetensors files.");
        MappedPages? pages = null;
        try
        {
            var length = new FileInfo(path).Length;
            if (length < 4) throw Fault($"it has {length} bytes");
            pages = new MappedPages(path, length);
            var zipped = new ReadOnlySpan<byte>(pages.Start, 4).SequenceEqual("PK\x3\x4"u8);
            var (root, places) = zipped
                ? FromZip(pages.Start, length, Fault)
                : FromPickles(pages.Start, length, Fault, root => contents(root, Fault).Tensors);
            var (tensors, numbers) = contents(root, Fault);
            return new PickledFile(path, Placed(tensors, places, Fault), pages, numbers);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            pages?.Dispose();
            throw new InputException($"{path} cannot be read: {e.Message} Check the path, or fetch the file again.", e);
        }
        catch
        {
            pages?.Dispose();
            throw;
        }
    }

    private static (object? Root, Dictionary<string, (long Start, long Length)> Places) FromZip(
        byte* start, long length, Func<string, InputException> fault)
    {
        var members = StoredZip.Read(start, length, fault);
        var pickles = members.Keys
            .Where(name => name.EndsWith("/data.pkl", StringComparison.Ordinal) && name.Count(letter => letter == '/') == 1)
            .ToList();
        if (pickles.Count != 1) throw fault("it is a zip archive without the one data.pkl that torch.save writes");
        var prefix = pickles[0][..^"data.pkl".Length];
        if (members.ContainsKey(prefix + "constants.pkl")) throw fault("it is a compiled TorchScript program, not a file of weights");
        byte[] Bytes((long Start, long Length) member, int most) => member.Length <= most
            ? new ReadOnlySpan<byte>(start + member.Start, (int)member.Length).ToArray()
            : throw fault($"its pickle has {member.Length:N0} bytes");
        if (members.TryGetValue(prefix + "byteorder", out var order) && !Bytes(order, 64).AsSpan().SequenceEqual("little"u8))
            throw fault("its numbers have the high byte first");
        var data = prefix + "data/";
        var places = members.Where(member => member.Key.StartsWith(data, StringComparison.Ordinal))
            .ToDictionary(member => member.Key[data.Length..], member => member.Value, StringComparer.Ordinal);
        return (new PickleReader(Bytes(members[pickles[0]], LongestPickle), fault).Read(), places);
    }

    // Before PyTorch 1.6: the magic number, the protocol, the system, the content, the storages' keys; then each storage, with its count
    // first.
    private static (object? Root, Dictionary<string, (long Start, long Length)> Places) FromPickles(
        byte* start, long length, Func<string, InputException> fault, Func<object?, List<(string Name, PickledTensor Tensor)>> tensors)
    {
        var reader = new PickleReader(new ReadOnlySpan<byte>(start, (int)Math.Min(length, LongestPickle)).ToArray(), fault);
        if (reader.Read() is not Int128 first || first != magic) throw fault("it is a pickle, but not one that torch.save wrote");
        if (reader.Read() is not 1001L) throw fault("it has an unknown version of PyTorch's old format");
        if (reader.Read() is PickledMap system && system.Pairs.Contains(("little_endian", false)))
            throw fault("its numbers have the high byte first");
        var root = reader.Read();
        if (reader.Read() is not List<object?> keys) throw fault("the list of its storages is missing");
        var kinds = tensors(root).Select(pair => pair.Tensor.Storage).DistinctBy(storage => storage.Key)
            .ToDictionary(storage => storage.Key, StringComparer.Ordinal);
        var places = new Dictionary<string, (long Start, long Length)>(StringComparer.Ordinal);
        long at = reader.Position;
        foreach (var key in keys.OfType<string>())
        {
            if (at > length - 8) throw fault($"it is cut off before the storage {key}");
            var count = BinaryPrimitives.ReadInt64LittleEndian(new ReadOnlySpan<byte>(start + at, 8));
            if (!kinds.TryGetValue(key, out var storage))
                throw fault($"it holds the storage {key}, which no weight uses; load it with PyTorch and save only the weights");
            var size = ElementKind.Of(storage.Kind ?? "U8").Size;
            if (count < 0 || count > (length - at - 8) / size)
                throw fault($"the storage {key} claims {count:N0} elements, more than the file holds");
            if (!places.TryAdd(key, (at + 8, count * size))) throw fault($"the storage {key} is there twice");
            at += 8 + count * size;
        }
        return (root, places);
    }

    private static Dictionary<string, WeightEntry> Placed(
        List<(string Name, PickledTensor Tensor)> tensors,
        Dictionary<string, (long Start, long Length)> places,
        Func<string, InputException> fault)
    {
        var entries = new Dictionary<string, WeightEntry>(StringComparer.Ordinal);
        foreach (var (name, tensor) in tensors)
        {
            var storage = tensor.Storage;
            var size = ElementKind.Of(tensor.Kind).Size;
            if (!places.TryGetValue(storage.Key, out var place)) throw fault($"the storage {storage.Key} of {name} is missing");
            if (storage.Count != place.Length / size || place.Length % size != 0)
                throw fault($"the storage {storage.Key} of {name} claims {storage.Count:N0} elements of {size} bytes, the file holds "
                    + $"{place.Length:N0} bytes of it");
            var count = tensor.Shape.Aggregate(1L, (product, x) => product * x);
            var entry = new WeightEntry(
                ElementKind.Of(tensor.Kind).Type,
                tensor.Kind,
                tensor.Shape,
                place.Start + tensor.Offset * size,
                count * size,
                IsDense(tensor) ? null : tensor.Strides);
            if (!entries.TryAdd(name, entry)) throw fault($"{name} is there twice");
        }
        return entries;
    }

    private static bool IsDense(PickledTensor tensor)
    {
        long due = 1;
        for (var i = tensor.Shape.Length - 1; i >= 0; due *= tensor.Shape[i--])
            if (tensor.Shape[i] != 1 && tensor.Strides[i] != due) return false;
        return true;
    }

    // The weights are the tensors of the outermost dictionary, or of the dictionary in which training scripts put them. Plain values in it
    // are ignored.
    private static List<(string Name, PickledTensor Tensor)> Tensors(object? root, Func<string, InputException> fault)
    {
        if (root is not PickledMap map) throw fault("it holds no dictionary of tensors");
        static List<(string, PickledTensor)> Of(PickledMap map) =>
            [.. map.Pairs.Where(pair => pair is (string, PickledTensor)).Select(pair => ((string)pair.Key!, (PickledTensor)pair.Value!))];
        var own = Of(map);
        if (own.Count > 0) return own;
        foreach (var wrapper in wrappers)
            if (map.Pairs.FirstOrDefault(pair => pair.Key is string key && key == wrapper).Value is PickledMap inner
                && Of(inner) is { Count: > 0 } found)
                return found;
        throw fault(map.Pairs.Count == 0
            ? "its dictionary is empty"
            : "its dictionary holds no tensors, only "
                + $"{string.Join(", ", map.Pairs.Take(5).Select(pair => pair.Key as string ?? "an entry without a name"))}");
    }
}
