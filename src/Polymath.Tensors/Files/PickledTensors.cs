namespace Polymath.Tensors.Files;

/// <summary>A storage of a pickle: tensors are views of its elements.</summary>
/// <param name="Kind">The type of its elements in safetensors' names; null when only the tensors have a type.</param>
/// <param name="Key">Its name in the file.</param>
/// <param name="Count">The number of its elements, or of its bytes when it has no type.</param>
internal sealed record PickledStorage(string? Kind, string Key, long Count);

/// <summary>A tensor of a pickle: a view of a storage.</summary>
/// <param name="Storage">The storage.</param>
/// <param name="Kind">The type of its elements.</param>
/// <param name="Offset">Its first element.</param>
/// <param name="Shape">Its shape.</param>
/// <param name="Strides">The distances between its elements.</param>
internal sealed record PickledTensor(
    PickledStorage Storage,
    string Kind,
    long Offset,
    long[] Shape,
    long[] Strides);

/// <summary>The few names that a pickle of tensors may use, and their meanings.</summary>
internal static class PickledTensors
{
    // libtorch's own limit.
    private const int MostDimensions = 64;

    private static readonly Dictionary<string, string> storages = new(StringComparer.Ordinal)
    {
        ["FloatStorage"] = "F32", ["DoubleStorage"] = "F64", ["HalfStorage"] = "F16", ["BFloat16Storage"] = "BF16", ["LongStorage"] = "I64",
        ["IntStorage"] = "I32",
        ["ShortStorage"] = "I16", ["CharStorage"] = "I8", ["ByteStorage"] = "U8", ["BoolStorage"] = "BOOL",
    };

    private static readonly Dictionary<string, string> types = new(StringComparer.Ordinal)
    {
        ["torch.float32"] = "F32", ["torch.float64"] = "F64", ["torch.float16"] = "F16", ["torch.bfloat16"] = "BF16",
        ["torch.int64"] = "I64", ["torch.int32"] = "I32", ["torch.int16"] = "I16",
        ["torch.int8"] = "I8", ["torch.uint8"] = "U8", ["torch.bool"] = "BOOL", ["torch.float8_e4m3fn"] = "F8_E4M3",
        ["torch.float8_e5m2"] = "F8_E5M2",
    };

    private static readonly HashSet<string> functions = new(StringComparer.Ordinal)
    {
        "collections.OrderedDict", "torch.Size", "torch.device", "torch._utils._rebuild_tensor", "torch._utils._rebuild_tensor_v2",
        "torch._utils._rebuild_tensor_v3", "torch._utils._rebuild_parameter",
    };

    private static readonly string[] untyped = ["torch.UntypedStorage", "torch.storage.UntypedStorage"];

    /// <summary>Whether a pickle may use a name.</summary>
    internal static bool Allows(string name) =>
        functions.Contains(name) || types.ContainsKey(name) || untyped.Contains(name) || StorageKind(name) is not null;

    private static string? StorageKind(string name) =>
        name.StartsWith("torch.", StringComparison.Ordinal)
            ? storages.GetValueOrDefault(name["torch.".Length..])
                ?? storages.GetValueOrDefault(name.Replace("torch.cuda.", "", StringComparison.Ordinal))
            : null;

    /// <summary>
    /// The storage of a persistent id: ('storage', type, key, place, count), and in old files a view, which must be absent.
    /// </summary>
    internal static PickledStorage Storage(object? name, Func<string, Exception> fault)
    {
        if (name is not object?[] { Length: 5 or 6 } parts || parts[0] is not "storage"
            || parts[1] is not PickledName type || parts[2] is not string key || parts[4] is not long count || count < 0)
            throw fault("its pickle names something that is not a storage of a tensor");
        if (parts.Length == 6 && parts[5] is not null)
            throw fault($"the storage {key} is a view of another, as only PyTorch before 0.4 wrote it");
        var kind = StorageKind(type.Name);
        if (kind is null && !untyped.Contains(type.Name)) throw fault($"the storage {key} is of the type '{type.Name}'");
        return new PickledStorage(kind, key, count);
    }

    /// <summary>The value of an allowed call.</summary>
    internal static object? Call(PickledName function, object?[] arguments, Func<string, Exception> fault)
    {
        Exception Wrong() => fault($"its pickle calls {function.Name} with wrong arguments");
        switch (function.Name)
        {
            case "collections.OrderedDict" when arguments.Length == 0:
                return new PickledMap();
            case "torch.Size" when arguments is [object?[] sizes]:
                return sizes;
            case "torch.device" when arguments.Length is 1 or 2:
                return null;
            case "torch._utils._rebuild_parameter" when arguments is [PickledTensor tensor, ..]:
                return tensor;
            case "torch._utils._rebuild_tensor" or "torch._utils._rebuild_tensor_v2"
                when arguments is [PickledStorage storage, long offset, var shape, var strides, ..]:
                return View(
                    storage,
                    storage.Kind ?? throw Wrong(),
                    offset,
                    Numbers(shape) ?? throw Wrong(),
                    Numbers(strides) ?? throw Wrong(),
                    fault);
            case "torch._utils._rebuild_tensor_v3"
                when arguments is [PickledStorage bytes, long offset, var shape, var strides, _, _, PickledName type, ..]:
                var kind = types.GetValueOrDefault(type.Name) ?? throw Wrong();
                var whole = bytes.Kind is null ? bytes with { Count = bytes.Count / ElementKind.Of(kind).Size } : bytes;
                return View(
                    whole,
                    kind,
                    offset,
                    Numbers(shape) ?? throw Wrong(),
                    Numbers(strides) ?? throw Wrong(),
                    fault);
            default:
                throw Wrong();
        }
    }

    private static long[]? Numbers(object? value) =>
        value is object?[] items && items.Length <= MostDimensions && Array.TrueForAll(items, item => item is long)
            ? Array.ConvertAll(items, item => (long)item!)
            : null;

    // Every element must be inside the storage, and there cannot be more elements than it holds, because then one element would occur many
    // times.
    private static PickledTensor View(
        PickledStorage storage,
        string kind,
        long offset,
        long[] shape,
        long[] strides,
        Func<string, Exception> fault)
    {
        string Told() => $"a tensor of shape [{string.Join(", ", shape)}] and strides [{string.Join(", ", strides)}] from element {offset} "
            + $"of the storage {storage.Key}, which holds {storage.Count:N0}";
        if (shape.Length != strides.Length || offset < 0 || Array.Exists(shape, x => x < 0) || Array.Exists(strides, x => x < 0))
            throw fault($"it holds {Told()}: that is impossible");
        Int128 last = offset, count = 1;
        for (var i = 0; i < shape.Length; i++)
        {
            last = Int128.Min(long.MaxValue, last + (Int128)Math.Max(0, shape[i] - 1) * strides[i]);
            count = Int128.Min(long.MaxValue, count * shape[i]);
        }
        if (count > 0 && last >= storage.Count) throw fault($"it holds {Told()}: it reaches beyond its storage");
        if (count > storage.Count) throw fault($"it holds {Told()}: it overlaps itself");
        return new PickledTensor(
            storage,
            kind,
            offset,
            shape,
            strides);
    }
}
