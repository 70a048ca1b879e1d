using System.Globalization;
using Polymath.Recipes;

namespace Polymath.Tensors.Files;

/// <summary>Flattens the nested dictionaries and lists of a pickle into tensors and numbers, each with its path.</summary>
internal static class PickledTree
{
    // An optimizer's state is three levels deep. A malicious pickle can contain a list that contains itself, or one list a million times;
    // these limits stop both.
    private const int Deepest = 8, MostValues = 1 << 20, LongestKey = 256;

    internal static (List<(string Name, PickledTensor Tensor)> Tensors, Dictionary<string, double>? Numbers) Flatten(
        object? root, Func<string, InputException> fault)
    {
        var tensors = new List<(string, PickledTensor)>();
        var numbers = new Dictionary<string, double>(StringComparer.Ordinal);
        var seen = 0;
        void Visit(object? value, string path, int depth)
        {
            if (depth > Deepest) throw fault($"{path} is more than {Deepest} containers deep");
            if (++seen > MostValues) throw fault($"it holds more than {MostValues:N0} values");
            switch (value)
            {
                case PickledTensor tensor:
                    tensors.Add((path, tensor));
                    break;
                case long or double:
                    if (!numbers.TryAdd(path, Convert.ToDouble(value, CultureInfo.InvariantCulture))) throw fault($"{path} is there twice");
                    break;
                case PickledMap map:
                    foreach (var (key, inner) in map.Pairs)
                        if (key is long or string { Length: <= LongestKey }) Visit(inner, Below(path, key), depth + 1);
                        else throw fault($"{(path.Length == 0 ? "it" : path)} has a key that is neither a short text nor a whole number");
                    break;
                case List<object?> or object?[]:
                    var at = 0;
                    foreach (var inner in (IEnumerable<object?>)value) Visit(inner, Below(path, (long)at++), depth + 1);
                    break;
            }
        }
        Visit(root, "", 0);
        return (tensors, numbers);
    }

    private static string Below(string path, object key) =>
        string.Create(CultureInfo.InvariantCulture, $"{path}{(path.Length == 0 ? "" : ".")}{key}");
}
